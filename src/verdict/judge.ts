import { addToBatches, type Batches, bordersUntilNow, NO_BATCHES } from './batches.ts'
import { addToBursts, type Bursts, compareErrors, NO_BURSTS } from './compare-errors.ts'
import { compareSlow } from './compare-latency.ts'
import { compareCpu, compareMemory } from './compare-process.ts'
import { addToStalledSeconds, compareStalls, NO_STALLED_SECONDS, type StalledSeconds } from './compare-stalls.ts'
import {
  type Comparison,
  MEASURES,
  type MeasureName,
  type MeasureReport,
  type Outcome,
  type Trial,
  type Verdict,
  type VerdictOptions
} from './verdict-types.ts'
import { worstRoutes } from './worst-routes.ts'

/** What judge() remembers between two calls. */
export interface JudgeState {
  /** How often the measures with batches were compared. */
  looks: number
  batches: Batches
  bursts: Bursts
  stalledSeconds: StalledSeconds
  /** The intersection of all intervals so far. */
  intervals: Partial<Record<MeasureName, [number, number]>>
  reports: readonly MeasureReport[]
}

/** The first look at the measures with batches, in seconds after measuring began; each further one is SQRT2 times as late. */
export const FIRST_LOOK_SECONDS = 13

/** Fewer batches cannot show how much they vary. */
const MIN_BATCHES = 4

const JUST_BEGUN = 'measuring has just begun'

const UNITS: Record<MeasureName, MeasureReport['unit']> = {
  errors: 'share of connections',
  'slow-p50': 'share of requests',
  'slow-p95': 'share of requests',
  'slow-p99': 'share of requests',
  'event-loop': 'ms per s',
  cpu: 'relative',
  memory: 'bytes per s'
}

export const newJudgeState = (): JudgeState => ({
  looks: 0,
  batches: NO_BATCHES,
  bursts: NO_BURSTS,
  stalledSeconds: NO_STALLED_SECONDS,
  intervals: {},
  reports: MEASURES.map((name) => report(name, { limit: 0, reason: JUST_BEGUN }))
})

/**
 * Compares the canary with the old release. Call it about once a second with cumulative figures; however often it is called,
 * the probability of a false alarm stays below `alpha`: errors get one half of it, the other measures share the other half. Pure: it neither changes the state that it is given nor reads a clock.
 */
export function judge(
  state: JudgeState,
  trial: Trial,
  options: VerdictOptions
): { state: JudgeState; verdict: Verdict } {
  const alpha = options.alpha / 2
  const batches = addToBatches(state.batches, trial)
  const seconds = Math.min(trial.canary.seconds, trial.control.seconds)
  const isLook = seconds >= nextLookSeconds(state.looks) && batches.borders.length > MIN_BATCHES
  const looks = state.looks + (isLook ? 1 : 0)
  const bursts = addToBursts(state.bursts, trial)
  const stalledSeconds = addToStalledSeconds(state.stalledSeconds, trial)
  const intervals = { ...state.intervals }
  const fresh: Partial<Record<MeasureName, Comparison>> = {
    errors: compareErrors(trial, state.bursts, alpha, options),
    ...(isLook
      ? compareBatches(trial, { batches, stalledSeconds, looks }, alpha / (MEASURES.length - 1), options.tolerance)
      : {})
  }
  const reports = MEASURES.map((name, i) => {
    const comparison = fresh[name]
    if (!comparison) return waiting(state.reports[i]!, trial)
    const interval = narrowed(intervals[name], comparison)
    if (interval) intervals[name] = interval
    return report(name, { ...comparison, interval })
  })
  const outcome = outcomeOf(reports)
  return {
    state: { looks, batches, bursts, stalledSeconds, intervals, reports },
    verdict: { outcome, measures: reports, routes: outcome === 'worse' ? worstRoutes(trial) : [] }
  }
}

/** Look j spends alpha / (j * (j + 1)), so all looks together spend alpha. The lower end of an interval gets it, and the upper end once more. */
function compareBatches(
  trial: Trial,
  { batches, stalledSeconds, looks }: Pick<JudgeState, 'batches' | 'stalledSeconds' | 'looks'>,
  alpha: number,
  tolerance: number
) {
  const tail = alpha / (looks * (looks + 1))
  const borders = bordersUntilNow(batches, trial)
  return {
    'slow-p50': compareSlow(trial, borders, 0, tail),
    'slow-p95': compareSlow(trial, borders, 1, tail),
    'slow-p99': compareSlow(trial, borders, 2, tail),
    'event-loop': compareStalls(trial, borders, stalledSeconds, tail / 2, alpha / 2, tolerance),
    cpu: compareCpu(trial, borders, tail, tolerance),
    memory: compareMemory(borders, tail, tolerance)
  }
}

const nextLookSeconds = (looks: number) => FIRST_LOOK_SECONDS * Math.SQRT2 ** looks

/** @returns the report of the last look, or why there was none yet */
function waiting(last: MeasureReport, { control }: Trial): MeasureReport {
  return last.reason === JUST_BEGUN && control.seconds === 0 ? { ...last, reason: 'there is no control' } : last
}

/** A difference that changed during the trial leaves the old interval. Then only the new interval counts. */
function narrowed(before: [number, number] | undefined, now: Comparison): [number, number] | undefined {
  const { estimate, interval } = now
  if (!interval || !before || estimate! < before[0] || estimate! > before[1]) return interval
  return [Math.max(before[0], interval[0]), Math.min(before[1], interval[1])]
}

function report(name: MeasureName, comparison: Comparison): MeasureReport {
  const margin = comparison.margin ?? comparison.limit
  return {
    name,
    unit: UNITS[name],
    ...comparison,
    margin,
    verdict: comparison.verdict ?? verdictOf(comparison.limit, margin, comparison.interval)
  }
}

function verdictOf(limit: number, margin: number, interval?: [number, number]): Outcome {
  if (!interval) return 'undecided'
  if (interval[0] > limit) return 'worse'
  return interval[1] <= margin ? 'no worse' : 'undecided'
}

function outcomeOf(reports: readonly MeasureReport[]): Outcome {
  if (reports.some(({ verdict }) => verdict === 'worse')) return 'worse'
  return reports.every(({ verdict }) => verdict === 'no worse') ? 'no worse' : 'undecided'
}
