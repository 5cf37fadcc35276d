import type { ReloadOutcome, ServiceStatus } from '../../admin/command-context.ts'
import type { HostReport } from '../../ipc/host-messages.ts'

const MAX_REASON = 200

/** Makes what a host announces of its status. It contains nothing that the status does not have, and no path of the host. */
export function hostReport(id: string, release: string, status: ServiceStatus): HostReport {
  const { host, pid, version, url, uptimeSeconds, generation, desired, state, workers, lastReload, rolloutWaits } =
    status
  return {
    id,
    host,
    pid,
    version,
    release,
    url,
    uptimeSeconds,
    generation,
    desired,
    state,
    workers: workers.map(({ slot, pid, generation, status, ...load }) => ({
      slot,
      pid,
      generation,
      status,
      requests: load.requests ?? 0,
      inFlight: load.inFlight ?? 0,
      connections: load.connections ?? 0,
      rssBytes: load.rssBytes ?? 0,
      utilization: load.utilization ?? 0
    })),
    ...(lastReload && { lastReload: shortOutcome(lastReload) }),
    ...(rolloutWaits && { waitsFor: rolloutWaits.why })
  }
}

function shortOutcome({ outcome, generation, why }: ReloadOutcome): NonNullable<HostReport['lastReload']> {
  return { outcome, generation, ...(why !== undefined && { why: publicReason(why) }) }
}

/**
 * Shortens a reason for other hosts. The text of an error of the app may go on with a stack, and may name a URL with a password.
 * @returns the first line, 200 characters at most, without the user and password of URLs
 */
export function publicReason(why: string): string {
  const line = why.split(/[\r\n]/, 1)[0]!.replace(/(?<=:\/\/)[^\s/@]*@/g, '')
  return line.length > MAX_REASON ? `${line.slice(0, MAX_REASON - 1)}…` : line
}
