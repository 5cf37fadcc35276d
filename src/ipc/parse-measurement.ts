import {
  LATENCY_BUCKETS,
  type LatencyBaseline,
  MAX_ROUTES,
  type Measurement,
  type RouteFigures,
  SUMS
} from './measurement.ts'

/** Checks what a worker has measured: it may run any code. @returns undefined if it is not a measurement */
export function parseMeasurement(value: unknown): Measurement | undefined {
  if (!isRecord(value) || ![...SUMS, 'seconds'].every((name) => isNumber(value[name]))) return undefined
  const { latency, slow, routes, memoryBytes } = value
  if (!isCounts(latency) || !Array.isArray(slow) || slow.length !== 3 || !isRoutes(routes, isFigures)) return undefined
  if (memoryBytes !== undefined && !isNumber(memoryBytes)) return undefined
  const isSlow = (one: unknown) => isRecord(one) && SLOW.every((name) => isNumber(one[name]))
  return slow.every(isSlow) ? (value as unknown as Measurement) : undefined
}

/** @returns undefined if it is not a baseline */
export function parseBaseline(value: unknown): LatencyBaseline | undefined {
  if (!isRecord(value) || !isCounts(value.all) || !isRoutes(value.routes, isCounts)) return undefined
  return value as unknown as LatencyBaseline
}

const SLOW = ['requests', 'squares', 'products'] as const
const FIGURES = ['requests', 'errors', 'latencyMs'] as const satisfies (keyof RouteFigures)[]

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null
const isNumber = (value: unknown) => typeof value === 'number' && value >= 0 && value < Number.POSITIVE_INFINITY
const isCounts = (value: unknown) => Array.isArray(value) && value.length <= LATENCY_BUCKETS && value.every(isNumber)
const isFigures = (value: unknown) => isRecord(value) && FIGURES.every((name) => isNumber(value[name]))

function isRoutes(value: unknown, isValid: (one: unknown) => boolean): boolean {
  // One more than the limit: all further routes together.
  return isRecord(value) && Object.keys(value).length <= MAX_ROUTES + 1 && Object.values(value).every(isValid)
}
