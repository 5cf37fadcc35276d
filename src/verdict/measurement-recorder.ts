import {
  LATENCY_BUCKETS,
  type LatencyBaseline,
  type LatencyLimits,
  latencyBucket,
  MAX_ROUTES,
  type Measurement,
  OTHER_ROUTES,
  type PerQuantile,
  type RouteFigures,
  type SlowFigures,
  SUMS
} from '../ipc/measurement.ts'

/** What a unit has requested so far. A worker keeps one per measured connection, or per client with sticky scheduling. */
export interface UnitTally {
  requests: number
  hasFailed: boolean
  slow: PerQuantile
}

export const newUnit = (): UnitTally => ({ requests: 0, hasFailed: false, slow: [0, 0, 0] })

/** Adds up the figures of a worker that a trial compares. A request costs some additions and allocates nothing. */
export class MeasurementRecorder {
  readonly #limits: LatencyLimits | undefined
  readonly #figures: Measurement = emptyMeasurement()

  /** @param limits undefined in workers of which only the errors are compared */
  constructor(limits?: LatencyLimits) {
    this.#limits = limits
  }

  /**
   * Records an answered request.
   *
   * @param unit the tally of its connection
   * @param route method and template, "GET /todos/:id"
   * @param isError the status is 500 or above
   */
  record(unit: UnitTally, route: string, latencyMs: number, isError: boolean): void {
    const figures = this.#figures
    if (unit.requests === 0) figures.units++
    figures.requests++
    figures.unitSquares += 2 * unit.requests + 1
    figures.latency[latencyBucket(latencyMs)]!++
    const ofRoute = this.#route(route)
    ofRoute.requests++
    ofRoute.latencyMs += latencyMs
    if (isError) {
      figures.errors++
      ofRoute.errors++
      if (!unit.hasFailed) figures.failedUnits++
      unit.hasFailed = true
    }
    this.#recordSlow(unit, route, latencyMs)
    unit.requests++
  }

  /** @returns the figures so far, with those of the process as the caller has measured them; not a copy */
  measurement(ofProcess: Pick<Measurement, 'seconds' | 'stalledMs' | 'cpuMicros' | 'memoryBytes'>): Measurement {
    return Object.assign(this.#figures, ofProcess)
  }

  #recordSlow(unit: UnitTally, route: string, latencyMs: number): void {
    if (!this.#limits) return
    const limits = ownValue(this.#limits.routes, route) ?? this.#limits.all
    for (let i = 0; i < limits.length; i++) {
      const sums = this.#figures.slow[i]!
      const before = unit.slow[i]!
      // The sum of products gains slow * requests with the new values, minus the same with the old ones.
      sums.products += before
      if (latencyMs <= limits[i]!) continue
      sums.requests++
      sums.squares += 2 * before + 1
      sums.products += unit.requests + 1
      unit.slow[i] = before + 1
    }
  }

  #route(route: string): RouteFigures {
    const { routes } = this.#figures
    const known = ownValue(routes, route)
    if (known) return known
    const name = Object.keys(routes).length < MAX_ROUTES ? route : OTHER_ROUTES
    return ownValue(routes, name) ?? (routes[name] = { requests: 0, errors: 0, latencyMs: 0 })
  }
}

/** Counts the latencies of a worker of the old release before the trial. */
export class BaselineRecorder {
  readonly #baseline: LatencyBaseline = { all: newBuckets(), routes: {} }
  #routes = 0

  record(route: string, latencyMs: number): void {
    const bucket = latencyBucket(latencyMs)
    this.#baseline.all[bucket]!++
    const { routes } = this.#baseline
    let ofRoute = ownValue(routes, route)
    if (!ofRoute) {
      if (this.#routes >= MAX_ROUTES) return
      this.#routes++
      ofRoute = routes[route] = newBuckets()
    }
    ofRoute[bucket]!++
  }

  /** @returns the counts so far; not a copy */
  baseline(): LatencyBaseline {
    return this.#baseline
  }
}

/** Adds up the figures of several workers. Their seconds are not added: all measure at the same time. */
export function addMeasurements(all: readonly Measurement[]): Measurement {
  const sum = emptyMeasurement()
  for (const one of all) {
    sum.seconds = Math.max(sum.seconds, one.seconds)
    for (const key of SUMS) sum[key] += one[key]
    for (const [i, count] of one.latency.entries()) sum.latency[i] = sum.latency[i]! + count
    for (const [i, slow] of sum.slow.entries()) {
      slow.requests += one.slow[i]!.requests
      slow.squares += one.slow[i]!.squares
      slow.products += one.slow[i]!.products
    }
    for (const [route, figures] of Object.entries(one.routes)) {
      const total = ownValue(sum.routes, route) ?? (sum.routes[route] = { requests: 0, errors: 0, latencyMs: 0 })
      total.requests += figures.requests
      total.errors += figures.errors
      total.latencyMs += figures.latencyMs
    }
  }
  return sum
}

export function emptyMeasurement(): Measurement {
  return {
    seconds: 0,
    requests: 0,
    errors: 0,
    latency: newBuckets(),
    units: 0,
    failedUnits: 0,
    unitSquares: 0,
    slow: [newSlow(), newSlow(), newSlow()],
    stalledMs: 0,
    cpuMicros: 0,
    memoryBytes: undefined,
    routes: {}
  }
}

const newSlow = (): SlowFigures => ({ requests: 0, squares: 0, products: 0 })
const newBuckets = (): number[] => new Array<number>(LATENCY_BUCKETS).fill(0)

/** A route may have the name of a property of every object. */
function ownValue<Value>(record: Record<string, Value>, key: string): Value | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined
}
