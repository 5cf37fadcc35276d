import { COMPARED_QUANTILES, type Measurement, type PerQuantile } from '../ipc/measurement.ts'
import { eachBatch, type Snapshot } from './batches.ts'
import { quantile } from './latency-limits.ts'
import { hoeffdingQuantile, studentQuantile } from './statistics.ts'
import type { Comparison, Trial } from './verdict-types.ts'

/** Slow requests that are added to the variance, so that a side without any does not seem certain. */
const PRIOR_SLOW = 2
/** A canary is no worse if it has at most so many more slow requests: 3 of 100 above the p50, and so on. */
const MARGINS: PerQuantile = [0.03, 0.01, 0.004]
/** The weight of the expected variance of batches. */
export const PRIOR_BATCHES = 8

/**
 * Compares the shares of slow requests. The variance has two sources: connections differ, and a pause of a process
 * slows all its connections down at once. Both are estimated from the data; the part that they share is subtracted.
 *
 * @param index of the quantile
 * @param tail the probability that the difference is outside of one end of the interval
 */
export function compareSlow(trial: Trial, borders: readonly Snapshot[], index: number, tail: number): Comparison {
  const { canary, control } = trial
  const shown = {
    limit: 0,
    margin: MARGINS[index]!,
    canary: quantile(canary.latency, COMPARED_QUANTILES[index]!),
    control: quantile(control.latency, COMPARED_QUANTILES[index]!)
  }
  const byUnit = hoeffdingQuantile(tail)
  const missing = missingUnits(trial, byUnit ** 2)
  if (missing > 0) return { ...shown, reason: needsUnits(missing) }
  const canaryShare = canary.slow[index]!.requests / canary.requests
  const controlShare = control.slow[index]!.requests / control.requests
  const units = effectiveUnits(trial)
  const variance = unitVariance(canary, index) + unitVariance(control, index)
  const unitRadius = byUnit * Math.sqrt((variance * units) / (units - byUnit ** 2))
  const residuals = eachBatch(
    borders,
    (from, to) =>
      (to.canary.slow[index]! - from.canary.slow[index]! - canaryShare * (to.canary.requests - from.canary.requests)) /
        canary.requests -
      (to.control.slow[index]! -
        from.control.slow[index]! -
        controlShare * (to.control.requests - from.control.requests)) /
        control.requests
  )
  const timeRadius = batchRadius(residuals, { variance, batches: PRIOR_BATCHES }, tail)
  const shared =
    byUnit ** 2 *
    ((canaryShare * (1 - canaryShare)) / canary.requests + (controlShare * (1 - controlShare)) / control.requests)
  const radius = Math.sqrt(Math.max(unitRadius ** 2, timeRadius ** 2, unitRadius ** 2 + timeRadius ** 2 - shared))
  const estimate = canaryShare - controlShare
  return { ...shown, estimate, interval: [estimate - radius, estimate + radius] }
}

/** The knowledge of the variance of a sum of batches before there are data. */
export interface Prior {
  variance: number
  /** The number of batches that this knowledge is worth. */
  batches: number
  /** The least variance, as a part of the one that independent batches would have. Default: 1. */
  leastFactor?: number
}

/**
 * Returns the radius of a confidence interval for a sum of batches. Student's t stays valid if the variances of the batches differ
 * (Ibragimov and Müller 2010). Batches that follow each other may be alike, which the covariances take into account (Newey and
 * West 1987); negative ones are
 * ignored by default. Few batches estimate their variance badly, so it is moderated by the one that is
 * expected (Smyth 2004).
 *
 * @param residuals of the batches, their sum is 0
 */
export function batchRadius(residuals: readonly number[], prior: Prior, tail: number): number {
  const count = residuals.length
  const lags = Math.floor(Math.sqrt(count))
  const squares = covariance(residuals, 0)
  let variance = squares
  for (let lag = 1; lag <= lags; lag++) variance += 2 * (1 - lag / (lags + 1)) * covariance(residuals, lag)
  const observed = (Math.max(squares * (prior.leastFactor ?? 1), variance) * count) / (count - 1)
  const moderated = (prior.batches * prior.variance + (count - 1) * observed) / (prior.batches + count - 1)
  return studentQuantile(tail, prior.batches + count - 1) * Math.sqrt(moderated)
}

function covariance(residuals: readonly number[], lag: number): number {
  let sum = 0
  for (let i = lag; i < residuals.length; i++) sum += residuals[i]! * residuals[i - lag]!
  return sum
}

/** The number of units of equal size that would balance chance as well as these units (Kish's effective sample size). */
export function effectiveUnits({ canary, control }: Trial): number {
  return (canary.requests + control.requests) ** 2 / Math.max(1, canary.unitSquares + control.unitSquares)
}

/** @returns how many further connections are needed before a difference can be told from chance */
export function missingUnits(trial: Trial, least: number): number {
  const fewest = Math.min(trial.canary.units, trial.control.units)
  return Math.max(0, Math.floor(least - effectiveUnits(trial)) + 1, 2 - fewest)
}

export const needsUnits = (count: number) =>
  `needs ${count} more ${count === 1 ? 'connection' : 'connections'} of similar size`

/** The variance of a share of slow requests, from the differences between units. */
function unitVariance(arm: Measurement, index: number): number {
  const { requests, squares, products } = arm.slow[index]!
  const share = requests / arm.requests
  return (squares - 2 * share * products + share ** 2 * arm.unitSquares + PRIOR_SLOW) / arm.requests ** 2
}
