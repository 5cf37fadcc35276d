import type { ScalingSample } from '../../src/primary/autoscaling/scaling-rule.ts'

/** The demand of a load at each moment: how many event loops it would keep busy. */
export type Demand = (seconds: number) => number

/** What a simulated rule sees once a second. */
export interface View extends ScalingSample {
  seconds: number
  demand: Demand
}

/** Returns the number of workers to want. Has its own memory. */
export type Rule = (view: View) => number
