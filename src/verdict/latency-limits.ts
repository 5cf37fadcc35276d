import {
  COMPARED_QUANTILES,
  LATENCY_BOUNDS_MS,
  type LatencyBaseline,
  type LatencyLimits,
  type PerQuantile
} from '../ipc/measurement.ts'

/** With fewer requests, too few routes would have limits of their own. */
export const MIN_BASELINE_REQUESTS = 500
/** Limits that are uncertain cause no false alarm: both sides have the same ones. They only show differences later. */
export const MIN_ROUTE_REQUESTS = 50
/** A latency that is higher by less than this never counts, in ms. */
export const LATENCY_FLOOR_MS = 0.5

/** Adds up the baselines of several workers. */
export function addBaselines(baselines: readonly LatencyBaseline[]): LatencyBaseline {
  const sum: LatencyBaseline = { all: [], routes: {} }
  for (const { all, routes } of baselines) {
    sum.all = addCounts(sum.all, all)
    for (const [route, counts] of Object.entries(routes)) {
      sum.routes[route] = addCounts(Object.hasOwn(sum.routes, route) ? sum.routes[route]! : [], counts)
    }
  }
  return sum
}

/**
 * Returns the limits of both sides. The limits of the canary are higher by the tolerance: a release that is slower by less has no
 * more slow requests than the control.
 *
 * @returns undefined as long as the baseline has too few requests
 */
export function latencyLimits(
  baseline: LatencyBaseline,
  tolerance: number
): { control: LatencyLimits; canary: LatencyLimits } | undefined {
  if (total(baseline.all) < MIN_BASELINE_REQUESTS) return undefined
  const routes = Object.entries(baseline.routes).filter(([, counts]) => total(counts) >= MIN_ROUTE_REQUESTS)
  const control = {
    all: quantilesOf(baseline.all),
    routes: Object.fromEntries(routes.map(([route, counts]) => [route, quantilesOf(counts)]))
  }
  const raise = (limits: PerQuantile) =>
    limits.map((ms) => Math.max(ms * (1 + tolerance), ms + LATENCY_FLOOR_MS)) as PerQuantile
  const canary = {
    all: raise(control.all),
    routes: Object.fromEntries(Object.entries(control.routes).map(([route, limits]) => [route, raise(limits)]))
  }
  return { control, canary }
}

/**
 * @param counts requests per latency bucket
 * @returns the quantile in ms, interpolated inside its bucket; undefined if there are no requests
 */
export function quantile(counts: readonly number[], share: number): number | undefined {
  const wanted = total(counts) * share
  if (wanted === 0) return undefined
  let below = 0
  const index = counts.findIndex((count) => (below += count) >= wanted)
  const lower = LATENCY_BOUNDS_MS[index - 1] ?? 0
  const upper = LATENCY_BOUNDS_MS[index]!
  if (upper === Infinity) return lower
  return upper - ((below - wanted) / counts[index]!) * (upper - lower)
}

const quantilesOf = (counts: readonly number[]) =>
  COMPARED_QUANTILES.map((share) => quantile(counts, share)!) as PerQuantile

const total = (counts: readonly number[]) => counts.reduce((sum, count) => sum + count, 0)

/** @param sum may be empty */
function addCounts(sum: readonly number[], counts: readonly number[]): number[] {
  return counts.map((count, i) => count + (sum[i] ?? 0))
}
