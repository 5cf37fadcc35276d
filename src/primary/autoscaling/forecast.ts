/**
 * The load as Holt's linear smoothing sees it: where it is, and how fast it changes. The load is the sum of the event-loop
 * utilisation of all workers: 1 is one busy event loop.
 */
export interface Trend {
  level: number
  /** Change of the level per second. */
  slope: number
  /** When the last sample was taken, in ms. */
  at: number
}

/** Weights of a new sample. A rise is followed faster than a fall: a worker too few costs more than a worker too many. */
const WEIGHTS = { rise: { level: 0.7, slope: 0.4 }, fall: { level: 0.3, slope: 0.3 } }

/** Adds a sample. @param trend undefined before the first one */
export function smooth(trend: Trend | undefined, load: number, now: number): Trend {
  const seconds = trend ? (now - trend.at) / 1000 : 0
  if (!trend || seconds <= 0) return { level: load, slope: trend?.slope ?? 0, at: now }
  const expected = trend.level + trend.slope * seconds
  const weights = load > expected ? WEIGHTS.rise : WEIGHTS.fall
  const level = Math.max(0, weights.level * load + (1 - weights.level) * expected)
  const slope = (weights.slope * (level - trend.level)) / seconds + (1 - weights.slope) * trend.slope
  return { level, slope, at: now }
}

/** @returns the load that is expected in `ms`; a falling load is not expected to fall further */
export const forecast = ({ level, slope }: Trend, ms: number): number => level + (Math.max(0, slope) * ms) / 1000
