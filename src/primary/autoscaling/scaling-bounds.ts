import type { ScalingBounds } from './scaling-rule.ts'

/** What the host has, and what the service uses of it. Sizes are in bytes. */
export interface Resources {
  /** The CPU quota of the cgroup, in cores; undefined without a quota. */
  cpuQuota: number | undefined
  /** The memory that the service may use. */
  memoryBytes: number
  /** The resident memory of each worker that serves. */
  workers: readonly number[]
  /** The resident memory of everything else: the primary, and workers that leave. */
  otherBytes: number
}

/** The share of the memory that is left for the embedded Redis, the kernel and whatever else the host runs. */
const RESERVE = 0.1

/**
 * Returns how many workers there may be. The CPU quota counts in whole cores, rounded up. New workers are expected to become as
 * large as the largest one. Neither limit goes below the minimum that the operator asked for.
 */
export function boundsOf(
  { min, max }: { min: number; max: number },
  { cpuQuota, memoryBytes, workers, otherBytes }: Resources,
  scaleDownMs: number
): ScalingBounds {
  const limits = [
    { limit: 'range', most: max },
    { limit: 'cpu', most: cpuQuota === undefined ? Number.POSITIVE_INFINITY : Math.ceil(cpuQuota) },
    { limit: 'memory', most: roomFor(workers, memoryBytes * (1 - RESERVE) - otherBytes) }
  ] as const
  const [lowest] = limits.toSorted((a, b) => a.most - b.most)
  const { limit, most } = lowest!
  return { min, max: Math.max(min, most), limit, scaleDownMs }
}

/** Workers that exist stay, however large they are: giving one up would only move its load to others. */
function roomFor(workers: readonly number[], bytes: number): number {
  const largest = Math.max(0, ...workers)
  // No worker has reported its memory yet.
  if (largest === 0) return Number.POSITIVE_INFINITY
  const used = workers.reduce((sum, each) => sum + each, 0)
  return workers.length + Math.max(0, Math.floor((bytes - used) / largest))
}
