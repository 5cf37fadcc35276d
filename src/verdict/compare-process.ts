import { eachBatch, type Snapshot } from './batches.ts'
import { batchRadius, missingUnits, needsUnits, PRIOR_BATCHES } from './compare-latency.ts'
import { hoeffdingQuantile } from './statistics.ts'
import type { Comparison, Trial } from './verdict-types.ts'

/** Differences below these never count. */
export const CPU_FLOOR_MICROS = 20
export const MEMORY_FLOOR_BYTES_PER_S = 65_536
/** Two processes that run the same code may differ by as much. */
export const MEMORY_FLOOR_BYTES = 16_777_216
/** A canary is no worse if its memory grew by less than this above the control's. */
export const MEMORY_MARGIN_BYTES = 67_108_864

/** CPU time is compared only if it is spread over this many connections: one client with costly requests is no evidence. */
const MIN_UNITS = 20
const MIN_REQUESTS = 200

/**
 * Standard deviations that are expected before there are data. Between connections: the CPU time per request, relative to the mean.
 * Between seconds: the CPU time per request, relative. Between processes: the memory in bytes.
 */
const UNIT_CPU_SPREAD = 0.5
const CPU_SPREAD = 0.15
const MEMORY_SPREAD_BYTES = 4_194_304
/** Memory is known only after garbage collections, so few long batches say more than many short ones. */
const MEMORY_BATCHES = 8

/** Compares the CPU time per request, relative to the control. */
export function compareCpu(trial: Trial, borders: readonly Snapshot[], tail: number, tolerance: number): Comparison {
  const { canary, control } = trial
  const missing = missingUnits(trial, MIN_UNITS)
  if (missing > 0) return { limit: tolerance, reason: needsUnits(missing) }
  const fewest = Math.min(canary.requests, control.requests)
  const lacking = MIN_REQUESTS - fewest
  if (lacking > 0) {
    return { limit: tolerance, reason: `needs ${lacking} more ${lacking === 1 ? 'request' : 'requests'}` }
  }
  const perRequest = Math.max(1, canary.cpuMicros) / canary.requests
  const controlPerRequest = Math.max(1, control.cpuMicros) / control.requests
  const residuals = eachBatch(borders, (from, to) => {
    const ofCanary =
      to.canary.cpuMicros - from.canary.cpuMicros - perRequest * (to.canary.requests - from.canary.requests)
    const ofControl =
      to.control.cpuMicros - from.control.cpuMicros - controlPerRequest * (to.control.requests - from.control.requests)
    return ofCanary / (perRequest * canary.requests) - ofControl / (controlPerRequest * control.requests)
  })
  const expected = (2 * CPU_SPREAD ** 2) / Math.min(canary.seconds, control.seconds)
  const byUnit = hoeffdingQuantile(tail) * UNIT_CPU_SPREAD
  const units = canary.unitSquares / canary.requests ** 2 + control.unitSquares / control.requests ** 2
  const radius = Math.max(
    batchRadius(residuals, { variance: expected, batches: PRIOR_BATCHES }, tail),
    byUnit * Math.sqrt(units)
  )
  const ratio = perRequest / controlPerRequest
  return {
    limit: Math.max(tolerance, CPU_FLOOR_MICROS / controlPerRequest),
    canary: perRequest / 1000,
    control: controlPerRequest / 1000,
    estimate: ratio - 1,
    interval: [ratio * Math.exp(-radius) - 1, ratio * Math.exp(radius) - 1]
  }
}

/** Compares the growth of the memory. A process that is new grows, so only the difference of both sides counts. */
export function compareMemory(borders: readonly Snapshot[], tail: number, tolerance: number): Comparison {
  const known = coarser(
    borders.filter(({ canary, control }) => canary.memoryBytes !== undefined && control.memoryBytes !== undefined),
    MEMORY_BATCHES
  )
  if (known.length < 4)
    return { limit: MEMORY_FLOOR_BYTES_PER_S, reason: 'waits for garbage collections in both processes' }
  const [first, last] = [known[0]!, known.at(-1)!]
  const seconds = last.canary.seconds - first.canary.seconds
  const canary = (last.canary.memoryBytes! - first.canary.memoryBytes!) / seconds
  const control = (last.control.memoryBytes! - first.control.memoryBytes!) / seconds
  const residuals = eachBatch(known, (from, to) => {
    const difference =
      to.canary.memoryBytes! - from.canary.memoryBytes! - (to.control.memoryBytes! - from.control.memoryBytes!)
    return (difference - (canary - control) * (to.canary.seconds - from.canary.seconds)) / seconds
  })
  // A collection that comes late is made up for by the next batch, so the batches vary more than their sum.
  const expected = 2 * (MEMORY_SPREAD_BYTES / seconds) ** 2
  const radius = batchRadius(residuals, { variance: expected, batches: 2 * PRIOR_BATCHES, leastFactor: 1 / 3 }, tail)
  return {
    limit: Math.max(MEMORY_FLOOR_BYTES_PER_S, MEMORY_FLOOR_BYTES / seconds, tolerance * control),
    margin: Math.max(MEMORY_FLOOR_BYTES_PER_S, MEMORY_MARGIN_BYTES / seconds, tolerance * control),
    canary,
    control,
    estimate: canary - control,
    interval: [canary - control - radius, canary - control + radius]
  }
}

/** @returns at most `batches` + 1 of the borders, the first and the last among them */
function coarser(borders: readonly Snapshot[], batches: number): Snapshot[] {
  const count = Math.min(batches, borders.length - 1)
  return Array.from({ length: count + 1 }, (_, i) => borders[Math.round((i * (borders.length - 1)) / count)]!)
}
