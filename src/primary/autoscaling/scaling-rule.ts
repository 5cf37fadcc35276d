import { forecast, smooth, type Trend } from './forecast.ts'

/** What one decision is based on. Times are in ms of one clock. */
export interface ScalingSample {
  now: number
  /** The sum of the event-loop utilisation of all workers: 1 is one busy event loop. */
  load: number
  /** The number of workers that serve and have reported their utilisation. */
  measured: number
  /** The number of workers that is wanted now. */
  desired: number
  /** The time from the fork of a worker until it is ready. */
  bootMs: number
  /** A reload is under way. */
  isReloading: boolean
}

/** Why there may be no more workers than `max`. */
export type ScalingLimit = 'range' | 'cpu' | 'memory'

export interface ScalingBounds {
  min: number
  max: number
  limit: ScalingLimit
  /** A worker is given up when the load was low for this long. */
  scaleDownMs: number
}

/** What the rule remembers from one decision to the next. */
export interface ScalingMemory {
  trend?: Trend
  /** The highest loads of the last `scaleDownMs`, the highest first; each is later and lower than the one before it. */
  peaks: readonly { at: number; load: number }[]
  /** When the first sample was taken, or the number of workers last rose. */
  since?: number
  /** When a worker was last given up. */
  downAt?: number
}

export interface ScalingDecision {
  memory: ScalingMemory
  /** The number of workers to want from now on. */
  target: number
  /** Why the target differs from the number before, or what prevents a higher one; undefined if neither is the case. */
  why?: string
  /** Set while more workers would be wanted than there may be. */
  limit?: ScalingLimit
}

/** The utilisation that workers are scaled to: above it, requests begin to wait for each other. */
export const TARGET = 0.7
/** With one worker fewer, the others must stay below this utilisation. It is below the target, so that the number does not swing. */
const TARGET_AFTER_SCALE_DOWN = 0.6
/** From this mean utilisation on, the load is unknown: it may be many times what the workers can show. */
const SATURATED = 0.9
/** Workers that are saturated are multiplied by this number. */
const GROWTH = 2
/** What passes beside the boot itself until a decision helps: the age of the samples and the time to spread connections. */
const LAG_MS = 1500
/** After one worker was given up, the next one follows after this share of `scaleDownMs`. */
const NEXT_STEP_SHARE = 0.25
const LIMIT_NAMES = { range: 'the range', cpu: 'the CPU quota', memory: 'the memory' }

/**
 * Decides how many workers are wanted. Pure. Rises at once to what the load expected at the end of a boot needs; saturated
 * workers are doubled, since they cannot show how much they lack. Falls by one worker at a time, and only when the highest load
 * of a whole `scaleDownMs` allows it. During a reload it never falls.
 */
export function decideScale(memory: ScalingMemory, sample: ScalingSample, bounds: ScalingBounds): ScalingDecision {
  const { now, load, measured, desired, isReloading } = sample
  const { min, max, limit } = bounds
  if (desired < min) return { memory: { ...memory, since: now }, target: min, why: `the range begins at ${min}` }
  if (desired > max && !isReloading) return { memory, target: max, why: `${LIMIT_NAMES[limit]} allows ${max}` }
  if (measured === 0) return { memory, target: desired }
  const next: ScalingMemory = {
    ...memory,
    trend: smooth(memory.trend, load, now),
    peaks: addPeak(memory.peaks, { at: now, load }, now - bounds.scaleDownMs),
    since: memory.since ?? now
  }
  const { needed, because } = neededWorkers(next.trend!, sample)
  if (needed > desired) {
    const target = Math.max(desired, Math.min(needed, max))
    const rise = target > desired ? { ...next, since: now } : next
    if (needed <= max) return { memory: rise, target, why: because }
    return { memory: rise, target, limit, why: `${because}; ${LIMIT_NAMES[limit]} allows ${max}` }
  }
  const why = isReloading ? undefined : whyFall(next, sample, bounds)
  return why === undefined
    ? { memory: next, target: desired }
    : { memory: { ...next, downAt: now }, target: desired - 1, why }
}

function neededWorkers(trend: Trend, { load, measured, bootMs }: ScalingSample): { needed: number; because: string } {
  const horizonMs = bootMs + LAG_MS
  const expected = forecast(trend, horizonMs)
  const needed = Math.ceil(expected / TARGET - 1e-9)
  if (trend.level / measured >= SATURATED && measured * GROWTH > needed) {
    return { needed: measured * GROWTH, because: `load ${shown(load)} saturates ${measured} workers` }
  }
  const inSeconds = `in ${(horizonMs / 1000).toFixed(1)} s`
  return { needed, because: `load ${shown(load)}, ${shown(expected)} expected ${inSeconds}: ${needed} workers needed` }
}

/**
 * @param memory with the present sample
 * @returns why one worker may be given up; undefined if none may
 */
function whyFall({ peaks, since, downAt }: ScalingMemory, sample: ScalingSample, bounds: ScalingBounds) {
  const { now, desired } = sample
  const { min, scaleDownMs } = bounds
  if (desired <= min || now - since! < scaleDownMs) return undefined
  if (downAt !== undefined && now - downAt < scaleDownMs * NEXT_STEP_SHARE) return undefined
  const highest = peaks[0]!.load
  if (highest > (desired - 1) * TARGET_AFTER_SCALE_DOWN) return undefined
  return `load at most ${shown(highest)} for ${scaleDownMs / 1000} s`
}

function addPeak(peaks: ScalingMemory['peaks'], peak: { at: number; load: number }, after: number) {
  return [...peaks.filter(({ at, load }) => at > after && load > peak.load), peak]
}

const shown = (load: number) => load.toFixed(2)
