import { poisson } from '../random.ts'
import type { Demand, Rule } from './rule-types.ts'
import { RANGE } from './rules.ts'

/** Steps of a second: a boot ends, and work is done, at the end of one. */
const STEPS = 20
/** The loop time of one request, in seconds. */
const REQUEST = 0.01
/** A request that waits longer than this for an event loop is late, in seconds. */
const LATE = 0.1

export interface SimulatedLoad {
  readonly demand: Demand
  readonly seconds: number
  /** From the fork of a worker until it is ready. */
  readonly bootMs: number
}

export interface Outcome {
  /** The share of requests that waited longer than 100 ms. */
  late: number
  /** The 99th percentile of the time that requests waited, in seconds. */
  p99: number
  /** The mean number of workers. */
  workers: number
  /** How often the number changed. */
  changes: number
}

/**
 * Simulates a service whose load is spread evenly: requests of 10 ms come at random (Poisson) around the demand, and wait while
 * every event loop is busy. Requests that wait are not given up, so a service with too few workers falls further behind.
 * @param random from 0 up to 1, without 1
 */
export function simulateScaling(rule: Rule, { demand, seconds, bootMs }: SimulatedLoad, random: () => number): Outcome {
  const boots: number[] = []
  const waits: { wait: number; work: number }[] = []
  let [serving, desired, backlog, workerSeconds, changes] = [RANGE.min, RANGE.min, 0, 0, 0]
  for (let second = 0; second < seconds; second++) {
    let done = 0
    let capacity = 0
    for (let step = 0; step < STEPS; step++) {
      const now = second + step / STEPS
      while (boots[0] !== undefined && boots[0] <= now) {
        boots.shift()
        serving++
      }
      const work = poisson(demand(now) / REQUEST / STEPS, random) * REQUEST
      const able = serving / STEPS
      const served = Math.min(backlog + work, able)
      if (work > 0) waits.push({ wait: (backlog + work / 2 - Math.min(work / 2, able)) / serving, work })
      backlog += work - served
      done += served
      capacity += able
      workerSeconds += desired / STEPS
    }
    const measured = Math.round(capacity)
    const target = rule({
      seconds: second + 1,
      now: (second + 1) * 1000,
      load: done,
      measured,
      desired,
      bootMs,
      isReloading: false,
      demand
    })
    if (target === desired) continue
    changes++
    for (let i = desired; i < target; i++) boots.push(second + 1 + bootMs / 1000)
    // The workers that boot are given up first.
    for (let i = target; i < desired; i++) if (boots.pop() === undefined) serving--
    desired = target
  }
  return { ...summary(waits), workers: workerSeconds / seconds, changes }
}

function summary(waits: { wait: number; work: number }[]): Pick<Outcome, 'late' | 'p99'> {
  waits.sort((a, b) => a.wait - b.wait)
  const total = waits.reduce((sum, { work }) => sum + work, 0)
  let [sum, late, p99] = [0, 0, 0]
  for (const { wait, work } of waits) {
    sum += work
    if (wait > LATE) late += work
    if (sum <= total * 0.99) p99 = wait
  }
  return { late: late / total, p99 }
}
