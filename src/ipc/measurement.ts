/** The quantiles of the latency of the old release that a trial compares. */
export const COMPARED_QUANTILES = [0.5, 0.95, 0.99] as const

/** A value for each of COMPARED_QUANTILES, in the same order. */
export type PerQuantile<Value = number> = [Value, Value, Value]

/** The figures of one route, for the report. */
export interface RouteFigures {
  requests: number
  /** Answers with a status of 500 or above. */
  errors: number
  /** The sum of all latencies, in ms. */
  latencyMs: number
}

/** Slow requests: sums over all units, where a unit had `slow` slow requests among `requests`. */
export interface SlowFigures {
  /** The sum of `slow`. */
  requests: number
  /** The sum of `slow ** 2`. */
  squares: number
  /** The sum of `slow * requests`. */
  products: number
}

/**
 * What one or several workers served since measuring began. All figures are cumulative sums, so the figures of several workers
 * are added, and a lost message costs nothing.
 *
 * A unit is what the connection router assigned to a worker by chance: a connection, or with sticky scheduling the
 * address of a client. Only requests of units that were assigned during the trial are measured.
 */
export interface Measurement {
  /** Since measuring began. */
  seconds: number
  requests: number
  errors: number
  /** Requests per latency bucket: latencyBucket() tells the index. */
  latency: number[]
  /** Units with at least one request. */
  units: number
  /** Units with at least one error. */
  failedUnits: number
  /** The sum over all units of their requests, squared. */
  unitSquares: number
  /** Requests slower than the limit of each quantile. */
  slow: PerQuantile<SlowFigures>
  /** The time that timers of the event loop were late by more than STALL_MS, in ms. */
  stalledMs: number
  /** CPU time of the process, user and system, in microseconds. */
  cpuMicros: number
  /** The memory that the worker retains: its heap and buffers after the last garbage collection, in bytes; undefined before. */
  memoryBytes?: number | undefined
  /** By method and template; at most MAX_ROUTES, the others together as OTHER_ROUTES. */
  routes: Record<string, RouteFigures>
}

/** The figures that are sums of all that was measured, so that those of several workers are added. */
export const SUMS = [
  'requests',
  'errors',
  'units',
  'failedUnits',
  'unitSquares',
  'stalledMs',
  'cpuMicros'
] as const satisfies (keyof Measurement)[]

/** A timer of the event loop that is late by less than this many ms does not count as stalled. */
export const STALL_MS = 20
export const MAX_ROUTES = 100
export const OTHER_ROUTES = 'other routes'

/** Latencies of the old release, before the trial: the source of the limits above which a request is slow. */
export interface LatencyBaseline {
  /** Requests per latency bucket. */
  all: number[]
  /** The same for each route. */
  routes: Record<string, number[]>
}

/** A request is slow if it took longer than the limit of its route, or of all routes where its route has none, in ms. */
export interface LatencyLimits {
  all: PerQuantile
  routes: Record<string, PerQuantile>
}

const BUCKETS_PER_DOUBLING = 8
const FIRST_BOUND_MS = 0.1
/** The last bucket holds all latencies above 105 s. */
export const LATENCY_BUCKETS = 20 * BUCKETS_PER_DOUBLING + 2

/** The upper bounds of the latency buckets in ms, each 9 % above the one before. The last one is Infinity. */
export const LATENCY_BOUNDS_MS: readonly number[] = Array.from({ length: LATENCY_BUCKETS }, (_, i) =>
  i === LATENCY_BUCKETS - 1 ? Infinity : FIRST_BOUND_MS * 2 ** (i / BUCKETS_PER_DOUBLING)
)

/**
 * @param latencyMs 0 or above
 * @returns the index of the first bucket whose upper bound is not below the latency
 */
export function latencyBucket(latencyMs: number): number {
  if (!(latencyMs > FIRST_BOUND_MS)) return 0
  const index = Math.ceil(Math.log2(latencyMs / FIRST_BOUND_MS) * BUCKETS_PER_DOUBLING - 1e-9)
  return Math.min(index, LATENCY_BUCKETS - 1)
}
