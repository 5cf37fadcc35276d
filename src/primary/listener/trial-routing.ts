import type { Candidate, RoutingHint } from './balancing.ts'
import { unitHash } from './balancing.ts'

/** Which new connections go to the workers of a trial. */
export interface TrialShares {
  /** Ids of the workers. Without a control, the old workers receive its share too. */
  canary: number
  control?: number | undefined
  /** The share of new connections that each of the two receives; 0: they receive none. */
  share: number
  /** Differs from trial to trial, so that it is not always the same clients that reach the canary. */
  seed: number
}

/**
 * Chooses the workers among which a connection is balanced during a trial. A new connection is assigned at random; with sticky
 * scheduling by a hash of its client, so that one client stays on one side. A connection that comes from another worker
 * belongs to none of the trial's workers.
 * @param draw at random, from 0 to 1
 */
export function assign<T extends Candidate>(
  targets: readonly T[],
  { canary, control, share, seed }: TrialShares,
  { client, slot, resumes }: RoutingHint,
  draw: number
): { assigned: readonly T[]; others: readonly T[] } {
  const others = targets.filter(({ id }) => id !== canary && id !== control)
  const isMoved = slot !== undefined || resumes === true
  if (share === 0 || isMoved) return { assigned: others, others: targets }
  const at = client === undefined ? draw : unitHash(client, seed)
  const side = sideAt(at, share, canary, control)
  const assigned = side === undefined ? others : targets.filter(({ id }) => id === side)
  return { assigned, others: side === undefined ? targets : others }
}

function sideAt(at: number, share: number, canary: number, control: number | undefined): number | undefined {
  if (at < share) return canary
  return at >= 1 - share ? control : undefined
}
