import {
  MEASURES,
  type MeasureName,
  type MeasureReport,
  type Trial,
  type Verdict,
  type VerdictOptions
} from './verdict-types.ts'

/** What judge() remembers between two calls. */
export interface JudgeState {
  looks: number
}

export const newJudgeState = (): JudgeState => ({ looks: 0 })

const UNITS: Record<MeasureName, MeasureReport['unit']> = {
  errors: 'share of connections',
  'slow-p50': 'share of requests',
  'slow-p95': 'share of requests',
  'slow-p99': 'share of requests',
  'event-loop': 'ms per s',
  cpu: 'relative',
  memory: 'bytes per s'
}

/**
 * Compares the canary with the old release. Call it about once a second with cumulative figures; however often it is called,
 * the probability of a false alarm stays below `alpha`. Pure: it neither changes the state that it is given nor reads a clock.
 */
export function judge(
  state: JudgeState,
  _trial: Trial,
  _options: VerdictOptions
): { state: JudgeState; verdict: Verdict } {
  const measures = MEASURES.map((name) => ({ name, unit: UNITS[name], limit: 0, verdict: 'undecided' as const }))
  return { state: { looks: state.looks + 1 }, verdict: { outcome: 'undecided', measures, routes: [] } }
}
