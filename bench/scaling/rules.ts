import {
  decideScale,
  type ScalingBounds,
  type ScalingMemory,
  type ScalingSample
} from '../../src/primary/autoscaling/scaling-rule.ts'
import type { Rule, View } from './rule-types.ts'
import { watt } from './watt-rule.ts'

export const RANGE = { min: 2, max: 8 }
export const SCALE_DOWN_MS = 60_000
const bounds: ScalingBounds = { ...RANGE, limit: 'range', scaleDownMs: SCALE_DOWN_MS }

const inRange = (workers: number) => Math.max(RANGE.min, Math.min(RANGE.max, workers))

/** @param see what the rule gets to see */
function muster(see: (view: View) => ScalingSample): Rule {
  let memory: ScalingMemory = { peaks: [] }
  return (view) => {
    const decision = decideScale(memory, see(view), bounds)
    memory = decision.memory
    return decision.target
  }
}

/** One worker more above a mean utilisation of 80 %, one fewer below 30 %, then a pause of 10 s or 60 s. */
function threshold(): Rule {
  let quietUntil = 0
  return ({ now, load, measured, desired }) => {
    const mean = load / measured
    if (now < quietUntil || (mean <= 0.8 && mean >= 0.3)) return desired
    const target = inRange(desired + (mean > 0.8 ? 1 : -1))
    if (target !== desired) quietUntil = now + (target > desired ? 10_000 : 60_000)
    return target
  }
}

/** What the highest demand from now to the end of a boot needs at 70 %, known in advance. */
function clairvoyant(): Rule {
  return ({ seconds, demand, bootMs }) => {
    const ahead = Math.ceil(bootMs / 1000) + 2
    const highest = Math.max(...Array.from({ length: ahead + 1 }, (_, i) => demand(seconds + i)))
    return inRange(Math.ceil(highest / 0.7))
  }
}

/** Makes a rule with an empty memory, by the name of its row. */
export const RULES: Readonly<Record<string, () => Rule>> = {
  'always 2': () => () => RANGE.min,
  'always 8': () => () => RANGE.max,
  threshold,
  'Watt’s rule': () => watt(RANGE),
  'muster, without the slope': () => muster((view) => ({ ...view, bootMs: -1500 })),
  muster: () => muster((view) => view),
  clairvoyant
}
