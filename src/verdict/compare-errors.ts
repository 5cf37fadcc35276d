import type { Measurement } from '../ipc/measurement.ts'
import { binomialInterval } from './statistics.ts'
import type { Comparison, Outcome, Trial, VerdictOptions } from './verdict-types.ts'

/** The failed units of the canary in the seconds with the most of them. */
export interface Bursts {
  /** The three highest numbers of finished seconds, the highest first. */
  top: readonly [number, number, number]
  /** When the current second began, and how many units had failed by then. */
  since: number
  before: number
}

/** Where the interval of the share of failed connections that are the canary's is narrowest: a release that fails several times as often. */
const PRIOR_SHARE = 0.25

export const NO_BURSTS: Bursts = { top: [0, 0, 0], since: 0, before: 0 }

export function addToBursts(bursts: Bursts, { canary }: Trial): Bursts {
  if (canary.seconds < bursts.since + 1) return bursts
  const top = topThree(bursts, canary.failedUnits)
  return { top, since: canary.seconds, before: canary.failedUnits }
}

/**
 * Compares the connections with an error. Each connection counts once, so it does not matter how many requests a client repeats.
 * A failed connection belongs to the canary with the probability `share` if the releases are alike.
 *
 * The two worst seconds of the canary count no more than is usual for the others: a hiccup of one process, as every release has
 * them, is no evidence, however many requests it hits.
 */
export function compareErrors(trial: Trial, bursts: Bursts, alpha: number, options: VerdictOptions): Comparison {
  const { canary, control, others } = trial
  const { tolerance } = options
  const limit = tolerance / 20
  const units = control.units + (others?.units ?? 0)
  const failed = control.failedUnits + (others?.failedUnits ?? 0)
  if (canary.units === 0 || units === 0) return { limit, reason: 'no connections yet' }
  const rate = canary.failedUnits / canary.units
  const oldRate = failed / units
  const estimate = rate - oldRate
  const counted = withoutBursts(bursts, canary)
  // Where the router gave the canary more than its share, the actual share is the cautious one.
  const share = Math.max(options.share, canary.units / (canary.units + units))
  const [least, most] = binomialInterval(counted, counted + failed, alpha, Math.max(PRIOR_SHARE, options.share))
  const ratioLimit = (share * (1 + tolerance)) / (1 + share * tolerance)
  const differenceAt = (ofCanary: number) => (counted + failed) * (ofCanary / canary.units - (1 - ofCanary) / units)
  const highestRate = binomialInterval(canary.failedUnits, canary.units, alpha, 0.01)[1]
  const counts = estimate > limit && rate > control.failedUnits / Math.max(1, control.units) + limit
  const upper = Math.max(estimate, highestRate - oldRate)
  return {
    limit,
    estimate,
    interval: [Math.min(estimate, differenceAt(least)), upper],
    canary: rate,
    control: oldRate,
    verdict: verdictOf(least > ratioLimit && counts, upper <= limit || most <= ratioLimit)
  }
}

function withoutBursts(bursts: Bursts, { failedUnits, seconds }: Measurement): number {
  const [first, second, third] = topThree(bursts, failedUnits)
  const mean = (failedUnits - first - second) / Math.max(1, seconds - 2)
  const usual = Math.max(third, mean + 2 * Math.sqrt(mean))
  return failedUnits - Math.max(0, first - usual) - Math.max(0, second - usual)
}

function verdictOf(isWorse: boolean, isNoWorse: boolean): Outcome {
  if (isWorse) return 'worse'
  return isNoWorse ? 'no worse' : 'undecided'
}

function topThree(bursts: Bursts, failedUnits: number): [number, number, number] {
  const [a, b, c] = [...bursts.top, failedUnits - bursts.before].sort((x, y) => y - x)
  return [a!, b!, c!]
}
