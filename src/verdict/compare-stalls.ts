import { eachBatch, type Snapshot } from './batches.ts'
import { batchRadius, PRIOR_BATCHES } from './compare-latency.ts'
import { binomialInterval } from './statistics.ts'
import type { Comparison, Trial } from './verdict-types.ts'

/** A difference below this never counts. */
export const STALL_FLOOR_MS_PER_S = 10
/** The standard deviation of stalls in a second that is expected before there are data. */
const STALL_SPREAD_MS = 10
/** A second counts as stalled from this time on. */
const STALLED_SECOND_MS = 50

/** How many seconds were stalled on each side. Of several in a row only the first one counts, because they may have one cause. */
export interface StalledSeconds {
  canary: number
  control: number
  /** The last second was stalled. */
  canaryStalls: boolean
  controlStalls: boolean
  /** When the current second began, and the stalls of both sides until then. */
  since: number
  canaryMs: number
  controlMs: number
}

export const NO_STALLED_SECONDS: StalledSeconds = {
  canary: 0,
  control: 0,
  canaryStalls: false,
  controlStalls: false,
  since: 0,
  canaryMs: 0,
  controlMs: 0
}

export function addToStalledSeconds(before: StalledSeconds, { canary, control }: Trial): StalledSeconds {
  if (canary.seconds < before.since + 1) return before
  const canaryStalls = canary.stalledMs - before.canaryMs >= STALLED_SECOND_MS
  const controlStalls = control.stalledMs - before.controlMs >= STALLED_SECOND_MS
  return {
    canary: before.canary + Number(canaryStalls && !before.canaryStalls),
    control: before.control + Number(controlStalls && !before.controlStalls),
    canaryStalls,
    controlStalls,
    since: canary.seconds,
    canaryMs: canary.stalledMs,
    controlMs: control.stalledMs
  }
}

/**
 * Compares the time in which the event loop stood still, per second. Stalls are rare, so their mean becomes certain late. Therefore the
 * seconds that were stalled are counted too: if the releases are alike, each of them belongs to the canary with the probability 0.5.
 *
 * @param tail the probability that the difference is outside of one end of the interval of this look
 * @param alpha the same for the counted seconds, of all looks together
 */
export function compareStalls(
  trial: Trial,
  borders: readonly Snapshot[],
  seconds: StalledSeconds,
  tail: number,
  alpha: number,
  tolerance: number
): Comparison {
  const canary = trial.canary.stalledMs / trial.canary.seconds
  const control = trial.control.stalledMs / trial.control.seconds
  const time = Math.min(trial.canary.seconds, trial.control.seconds)
  const residuals = eachBatch(borders, (from, to) => {
    const ofCanary = to.canary.stalledMs - from.canary.stalledMs - canary * (to.canary.seconds - from.canary.seconds)
    const ofControl =
      to.control.stalledMs - from.control.stalledMs - control * (to.control.seconds - from.control.seconds)
    return (ofCanary - ofControl) / time
  })
  const radius = batchRadius(residuals, { variance: STALL_SPREAD_MS ** 2 / time, batches: PRIOR_BATCHES }, tail)
  const limit = Math.max(STALL_FLOOR_MS_PER_S, tolerance * control)
  const estimate = canary - control
  const [leastShare] = binomialInterval(seconds.canary, seconds.canary + seconds.control, alpha, 0.5)
  const stallsMoreOften = leastShare > (1 + tolerance) / (2 + tolerance) && estimate > limit
  return {
    limit,
    canary,
    control,
    estimate,
    interval: [estimate - radius, estimate + radius],
    verdict: stallsMoreOften ? 'worse' : undefined
  }
}
