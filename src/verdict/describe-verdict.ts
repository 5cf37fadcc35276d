import type { MeasureName, MeasureReport, RouteDifference, Verdict } from './verdict-types.ts'

/** A measure as the cells of a table. */
export interface MeasureRow {
  measure: string
  canary: string
  control: string
  /** The estimate and its interval: "+0.90 [+0.31, +2.40] % of connections". */
  difference: string
  verdict: string
}

const LABELS: Record<MeasureName, string> = {
  errors: 'connections with errors',
  'slow-p50': 'requests above the p50',
  'slow-p95': 'requests above the p95',
  'slow-p99': 'requests above the p99',
  'event-loop': 'event loop stalls',
  cpu: 'CPU per request',
  memory: 'memory growth'
}

/** The factor from a value to what people read, and its unit. */
const SCALES: Record<MeasureReport['unit'], [number, string]> = {
  'share of connections': [100, '%'],
  'share of requests': [100, '%'],
  'ms per s': [1, 'ms/s'],
  relative: [100, '%'],
  'bytes per s': [1 / 1024, 'KiB/s']
}

/** The unit of the value of one side. */
const SIDES: Record<MeasureName, [number, string]> = {
  errors: [100, '%'],
  'slow-p50': [1, 'ms'],
  'slow-p95': [1, 'ms'],
  'slow-p99': [1, 'ms'],
  'event-loop': [1, 'ms/s'],
  cpu: [1, 'ms'],
  memory: [1 / 1024, 'KiB/s']
}

interface TrialEnd {
  seconds: number
  /** Requests that the canary served. */
  requests: number
  why: string
}

/** @returns one row per measure, in the order of the verdict */
export function measureRows({ measures }: Pick<Verdict, 'measures'>): MeasureRow[] {
  return measures.map((measure) => ({
    measure: LABELS[measure.name],
    canary: side(measure.canary, SIDES[measure.name]),
    control: side(measure.control, SIDES[measure.name]),
    difference: difference(measure),
    verdict: measure.reason === undefined ? measure.verdict : `${measure.verdict}: ${measure.reason}`
  }))
}

/**
 * Describes a verdict for a log line or an error.
 *
 * @returns "worse: connections with errors 2.1 % instead of 0.1 %; GET /todos: errors 20 % instead of 0 %, 12 ms instead of 11 ms"
 */
export function describeVerdict({ outcome, measures, routes }: Verdict): string {
  const decisive = measures.filter(({ verdict }) => verdict === outcome)
  if (outcome === 'no worse') return `no worse in any of ${measures.length} measures`
  if (outcome === 'worse') return `worse: ${[...decisive.map(comparison), ...routes.map(routeComparison)].join('; ')}`
  const reasons = decisive.map(({ name, reason }) => LABELS[name] + (reason === undefined ? '' : ` (${reason})`))
  return `undecided: ${reasons.join(', ')}`
}

/**
 * Describes how a trial ended, for the journal. What {@link describeVerdict} says begins with the outcome, which is said once.
 *
 * @returns "worse after 4 s, 210 requests: connections with errors 2.1 % instead of 0.1 %"
 */
export function describeTrialEnd(outcome: string, { seconds, requests, why }: TrialEnd): string {
  const details =
    why.startsWith(`${outcome} `) || why.startsWith(`${outcome}:`) ? why.slice(outcome.length) : `: ${why}`
  return `${outcome} after ${seconds} s, ${requests} requests${details.replace(/^ /, ', ')}`
}

function difference({ estimate, interval, unit }: MeasureReport): string {
  if (estimate === undefined || !interval) return '-'
  const [factor, suffix] = SCALES[unit]
  const [value, lower, upper] = [estimate, ...interval].map((number) => signed(number * factor))
  return `${value} [${lower}, ${upper}] ${suffix}`
}

function comparison(measure: MeasureReport): string {
  const { name, canary, control } = measure
  if (name.startsWith('slow-') || canary === undefined) return `${LABELS[name]} ${difference(measure)}`
  return `${LABELS[name]} ${side(canary, SIDES[name])} instead of ${side(control, SIDES[name])}`
}

function routeComparison({ route, canary, control }: RouteDifference): string {
  const errors = `errors ${side(canary.errorRate, [100, '%'])} instead of ${side(control.errorRate, [100, '%'])}`
  return `${route}: ${errors}, ${side(canary.meanMs, [1, 'ms'])} instead of ${side(control.meanMs, [1, 'ms'])}`
}

function side(value: number | undefined, [factor, suffix]: [number, string]): string {
  return value === undefined ? '-' : `${rounded(value * factor)} ${suffix}`
}

const signed = (value: number) => (value > 0 ? `+${rounded(value)}` : rounded(value))

/** @returns three significant digits: "0.0123", "12.3", "1230" */
const rounded = (value: number) => String(Number(value.toPrecision(3)))
