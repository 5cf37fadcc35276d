import type { Measurement } from '../ipc/measurement.ts'

/** One measure of a trial. `slow-p95`: requests above the 95th percentile of the old release. */
export const MEASURES = ['errors', 'slow-p50', 'slow-p95', 'slow-p99', 'event-loop', 'cpu', 'memory'] as const
export type MeasureName = (typeof MEASURES)[number]

export type Outcome = 'no worse' | 'worse' | 'undecided'

/**
 * The workers of a trial. `canary` (new release) and `control` (old release) are one worker each that started together and
 * receives the same share of new connections. `others` are all other workers of the old release together, measured
 * without limits of latency: only their errors are compared.
 *
 * The comparison is valid only if the trial runs like this:
 * 1. While canary and control start, the old workers record baselines. addBaselines() and latencyLimits() make limits of them;
 *    if they have too few requests, canary and control begin to serve, and the baselines go on until they suffice.
 * 2. Canary and control start to receive connections at the same moment, with the same share, at random. Both are new
 *    processes, so that cold caches and code that is not compiled yet slow both down alike.
 * 3. All measured workers begin to measure at the same moment, with the limits of their side, each connection that was
 *    assigned since step 2. The share stays the same until the end.
 */
export interface Trial {
  canary: Measurement
  control: Measurement
  others?: Measurement | undefined
}

export interface VerdictOptions {
  /** The probability of a false alarm for the whole trial, above 0 and below 1. */
  alpha: number
  /** The relative difference that never counts, 0.1 for 10 %. */
  tolerance: number
  /**
   * The probability that a new connection went to the canary, given that it went to one of the compared workers (canary,
   * control and others). 0.5 if only canary and control are measured.
   */
  share: number
}

/** A measure as it is now. Its values are differences: canary minus the old release. */
export interface MeasureReport {
  name: MeasureName
  /**
   * errors: share of connections with an error. slow-*: share of requests above the limit. event-loop: ms of stalls per
   * second. cpu: CPU time per request, relative (0.2: 20 % more). memory: growth in bytes per second.
   */
  unit: 'share of connections' | 'share of requests' | 'ms per s' | 'relative' | 'bytes per s'
  /** The best estimate of the difference; undefined before there is any. */
  estimate?: number | undefined
  /** Contains the true difference at all times together, but for a probability of `alpha` at most. Narrows. */
  interval?: [number, number] | undefined
  /** A difference up to this one never counts. The measure is worse if the whole interval is above. */
  limit: number
  /** The measure is no worse if the whole interval is at or below this difference; never below `limit`. */
  margin: number
  /** The value of each side, for people: a share, ms (slow-*: the quantile), ms per s, ms of CPU per request, bytes per s. */
  canary?: number | undefined
  control?: number | undefined
  verdict: Outcome
  /** Why the measure is undecided, if traffic does not suffice for any statement: "needs 9 more connections". */
  reason?: string | undefined
}

/** A route in which canary and control differ. */
export interface RouteDifference {
  route: string
  canary: { requests: number; errorRate: number; meanMs: number }
  control: { requests: number; errorRate: number; meanMs: number }
}

export interface Verdict {
  /** `worse`: at least one measure is worse. `no worse`: every measure is. The caller ends a trial that stays undecided. */
  outcome: Outcome
  measures: MeasureReport[]
  /** The routes that differ most, at most five, the worst first. Empty unless the outcome is `worse`. */
  routes: RouteDifference[]
}

/** The result of one comparison. Without a verdict of its own, the interval decides. Without a margin, the limit is the margin. */
export type Comparison = Omit<MeasureReport, 'name' | 'unit' | 'verdict' | 'margin'> & {
  margin?: number | undefined
  verdict?: Outcome | undefined
}
