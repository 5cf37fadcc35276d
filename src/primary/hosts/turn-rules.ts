import type { ReloadOutcome } from '../../admin/command-context.ts'
import type { RolloutRecord, TurnAnswer } from '../../ipc/host-messages.ts'
import { publicReason } from './host-report.ts'

/** The times of the rollout lease, in ms. */
export interface TurnTimes {
  /** Time for which a host that has died keeps others waiting. The lease is renewed at every third of it. */
  leaseMs: number
  /** The pause between two questions for the lease. */
  pollMs: number
  /** A rollout is refused when Redis is away for this time while it waits. */
  maxAwayMs: number
  /** A forced rollout then goes on without the lease. */
  forcedAwayMs: number
}

export const TURN_TIMES: TurnTimes = { leaseMs: 20_000, pollMs: 1000, maxAwayMs: 20_000, forcedAwayMs: 3000 }

/** The part of its time for which a holder trusts its lease. The rest is a margin for timers that fire late. */
export const TRUSTED_PART = 0.9

export const LEASE_LOST = 'the rollout lease was lost'

const REMEDY = 'deploy another release, or run `muster reload --force` on one host'

/**
 * Decides whether a host that holds the lease may roll out a release.
 * @param release its id; undefined: it cannot be read, and the rollout itself says why
 * @returns why not; undefined if it may
 */
export function refusalOf(last: TurnAnswer['last'], release: string | undefined): string | undefined {
  if (!last || last.record.release !== release) return undefined
  const { state, id, why } = last.record
  const at = new Date(last.at).toISOString()
  if (state === 'failed') return `release ${release} failed on ${id} at ${at}${why ? ` (${why})` : ''}: ${REMEDY}`
  if (state !== 'rolling') return undefined
  return `${id} began to roll out release ${release} at ${at} and has not reported the end: examine that host, then ${REMEDY}`
}

/** Describes for people what a host waits for. */
export function describeWait({ last, ahead }: TurnAnswer): string {
  const { state, id, release } = last?.record ?? {}
  const holder = state === 'rolling' ? `${id} rolls out release ${release}` : 'another host has the rollout lease'
  return ahead > 0 ? `${holder}, and ${ahead} more ${ahead === 1 ? 'host is' : 'hosts are'} ahead` : holder
}

/**
 * Makes the record of a rollout that has ended.
 * @param lost whether the rollout was made to fail because its lease was lost, which says nothing about the release
 */
export function recordOf(began: RolloutRecord, { outcome, why }: ReloadOutcome, lost: boolean): RolloutRecord {
  const failed = outcome === 'failed' && !(lost && why?.startsWith(LEASE_LOST))
  const ended = failed ? 'failed' : 'ended'
  return { ...began, state: outcome === 'done' ? 'done' : ended, ...(why !== undefined && { why: publicReason(why) }) }
}
