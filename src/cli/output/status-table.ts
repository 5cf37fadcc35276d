import type { KnownHosts, ServiceStatus } from '../../admin/command-context.ts'
import { printable } from '../../common/text/printable.ts'
import { formatBytes, formatCount, formatDuration, formatSeconds } from '../../common/text/units.ts'
import { describeCuts, describeLingering } from '../../ipc/drain-report.ts'
import { formatHosts } from './hosts-table.ts'
import { type Column, paint, type Screen, STATE_COLOURS, table, valueText, wrap } from './table.ts'
import { describeUpgrade } from './upgrade-line.ts'

const WIDTH = 100

type Worker = ServiceStatus['workers'][number]

/** A worker that has sent no heartbeat yet has fewer values. */
const ifThere = (value: number | undefined, format: (value: number) => string) =>
  value === undefined ? undefined : format(value)

const COLUMNS: Column<Worker>[] = [
  { title: 'slot', show: ({ slot }) => String(slot) },
  { title: 'pid', show: ({ pid }) => String(pid) },
  {
    title: 'status',
    show: ({ status, waitsFor }) => (waitsFor ? 'lingering' : status),
    colour: ({ status }) => STATE_COLOURS[status]
  },
  { title: 'up', show: ({ uptimeSeconds }) => formatSeconds(uptimeSeconds), isQuantity: true },
  { title: 'gen', show: ({ generation }) => String(generation), isQuantity: true },
  { title: 'conns', show: ({ connections }) => ifThere(connections, formatCount), isQuantity: true },
  { title: 'in flight', show: ({ inFlight }) => ifThere(inFlight, formatCount), isQuantity: true },
  { title: 'requests', show: ({ requests }) => ifThere(requests, formatCount), isQuantity: true },
  { title: 'loop delay', show: ({ loopDelayMs }) => ifThere(loopDelayMs, formatDuration), isQuantity: true },
  {
    title: 'busy',
    show: ({ utilization }) => ifThere(utilization, (part) => `${Math.round(part * 100)} %`),
    isQuantity: true
  },
  { title: 'memory', show: ({ rssBytes }) => ifThere(rssBytes, formatBytes), isQuantity: true }
]

/** Formats the status: what is known of the service, its workers in the order of their slots, and the last reload. */
export function formatStatus(status: ServiceStatus & Partial<KnownHosts>, screen: Screen): string {
  const { workers, lastReload, restarts, rolloutWaits, hosts, hostsKnown = true, hostsNote } = status
  const inOrder = workers.toSorted((a, b) => a.slot - b.slot || a.generation - b.generation)
  const replaced = Object.values(restarts ?? {}).some((count) => count > 0)
  const lingering = describeLingering(inOrder.flatMap(({ waitsFor }) => waitsFor ?? []))
  const lines = [
    ...headOf(status, screen),
    '',
    table(inOrder, COLUMNS, screen).trimEnd(),
    ...(lingering === undefined ? [] : ['', lingering]),
    ...describeQuarantine(status.quarantine ?? [], screen),
    ...(lastReload || replaced || rolloutWaits ? [''] : []),
    ...(rolloutWaits
      ? [printable(`a reload waits for ${formatSeconds(rolloutWaits.seconds)}: ${rolloutWaits.why}`)]
      : []),
    ...(lastReload ? describeReload(lastReload, screen) : []),
    ...(replaced ? [`replaced workers: ${valueText('', restarts)}`] : [])
  ]
  const known = hosts && formatHosts({ hosts, hostsKnown, ...(hostsNote !== undefined && { hostsNote }) }, screen)
  return `${lines.join('\n')}\n${known ?? ''}`
}

function headOf(status: ServiceStatus, screen: Screen): string[] {
  const { version, host, pid, url, folder, uptimeSeconds, generation, desired, scheduling, state, workers } = status
  const ready = new Set(workers.filter((worker) => worker.status === 'ready').map(({ slot }) => slot)).size
  const facts = [
    `up ${formatSeconds(uptimeSeconds)}`,
    `${ready} of ${desired} workers ready`,
    `generation ${generation}`,
    `scheduling ${scheduling}`
  ]
  return [
    `muster ${version} · ${paint(screen, STATE_COLOURS[state], state)} on ${printable(url)} · pid ${pid} of ${printable(host)}`,
    facts.join(' · '),
    `folder ${printable(folder)}`,
    ...describeAutoscaling(status, screen),
    ...(status.upgrade ? indented(describeUpgrade(status.upgrade, desired), screen) : [])
  ]
}

function describeAutoscaling({ autoscaling }: ServiceStatus, screen: Screen): string[] {
  // An older service does not report it.
  if (!autoscaling) return []
  const { range, load, limit, last } = autoscaling
  const state =
    range === null ? 'off, `muster scale auto` turns it on' : `${range} workers by load, now ${load.toFixed(2)}`
  const limited = limit === null ? '' : `, limited by ${limit}`
  const decision = last ? `; last: ${last.from} to ${last.to}, ${last.why}` : ''
  return indented(`autoscaling: ${state}${limited}${decision}`, screen)
}

/** @returns the lines of a text, which are indented but for the first */
const indented = (text: string, screen: Screen): string[] =>
  wrap(printable(text), Math.min(screen.width, WIDTH)).map((line, i) => (i === 0 ? line : `  ${line}`))

/** @returns one line for each quarantined route, after an empty line */
function describeQuarantine(routes: ServiceStatus['quarantine'], screen: Screen): string[] {
  if (routes.length === 0) return []
  const lines = routes.flatMap(({ route, state, why, retrySeconds }) => {
    const next = retrySeconds ? `, next request in ${formatSeconds(retrySeconds)}` : ''
    return wrap(printable(`${state}: ${route}: ${why}${next}`), Math.min(screen.width, WIDTH))
  })
  return ['', ...lines]
}

function describeReload(reload: NonNullable<ServiceStatus['lastReload']>, screen: Screen): string[] {
  const { outcome, generation, durationMs, why, cuts = [] } = reload
  const cut = cuts.length > 0 ? `; cut: ${describeCuts(cuts)}` : ''
  const text = `last reload: ${outcome} in ${formatDuration(durationMs)}, generation ${generation}${why ? `: ${why}` : ''}${cut}`
  return wrap(printable(text), Math.min(screen.width, WIDTH)).map((line, i) =>
    i === 0 ? line.replace(outcome, paint(screen, STATE_COLOURS[outcome], outcome)) : `  ${line}`
  )
}
