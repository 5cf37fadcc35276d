import type { Rule } from './rule-types.ts'

/*
 * The rule of Platformatic Watt, written anew from a description of it: Holt's linear smoothing of the summed utilisation, a
 * horizon of 7 to 30 s, and its default figures. Every 10 s it decides, at most one worker up.
 */
const THRESHOLD = 0.8
const INTERVAL_MS = 10_000
const MAX_STEP_UP = 1
const ALPHA = { up: 0.2, down: 0.1 }
const BETA = 0.1
const PAUSES_MS = { upAfterUp: 5000, upAfterDown: 5000, downAfterUp: 30_000, downAfterDown: 20_000 }
const MARGINS = { up: 0.1, down: 0.3 }
/** A slope of more than 10 degrees of the level is a rise. */
const RISE = Math.tan((10 * Math.PI) / 180)

export function watt({ min, max }: { min: number; max: number }): Rule {
  let level: number | undefined
  let slope = 0
  let decidedAt = 0
  let upAt = Number.NEGATIVE_INFINITY
  let downAt = Number.NEGATIVE_INFINITY
  return ({ now, load, measured, desired, bootMs }) => {
    const before = level ?? load
    const expected = before + slope
    const alpha = load > expected ? ALPHA.up : ALPHA.down
    level = alpha * load + (1 - alpha) * expected
    const changed = BETA * (level - before) + (1 - BETA) * slope
    const isSaturated = load >= measured * 0.95
    slope = isSaturated ? Math.max(slope, changed) : changed
    if (isSaturated) level = Math.min(level, measured)
    else if (level > load) slope *= (level - load) / (level - load + Math.abs(slope) + 1e-9)
    if (now - decidedAt < INTERVAL_MS) return desired
    decidedAt = now
    const horizon = Math.min(Math.max(1.2 * bootMs, 7000), 30_000) / 1000
    const predicted = level + slope * horizon
    const isOverloaded = level / measured > THRESHOLD
    if (slope > RISE * level || predicted / desired > THRESHOLD) {
      const mayRise = now - upAt >= PAUSES_MS.upAfterUp && now - downAt >= PAUSES_MS.upAfterDown
      const target = Math.min(max, desired + MAX_STEP_UP, up(level, predicted, isOverloaded))
      if (!mayRise || target <= desired) return desired
      upAt = now
      return target
    }
    const target = Math.max(min, Math.floor(((1 + MARGINS.down) * level) / THRESHOLD) + 1)
    const mayFall = now - upAt >= PAUSES_MS.downAfterUp && now - downAt >= PAUSES_MS.downAfterDown
    if (isOverloaded || !mayFall || target >= desired) return desired
    downAt = now
    return target
  }
}

function up(level: number, predicted: number, isOverloaded: boolean): number {
  const rise = Math.max(0, predicted - level)
  const adjusted = level + (level > 0 ? (2 / (2 + rise / level)) * rise : rise)
  const whole = Math.floor(adjusted / THRESHOLD)
  const rest = adjusted / THRESHOLD - whole
  return whole + (rest > 0 && (isOverloaded || rest > MARGINS.up) ? 1 : 0)
}
