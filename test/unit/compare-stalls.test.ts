import { deepEqual, equal } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { batchRadius } from '../../src/verdict/compare-latency.ts'
import { addToStalledSeconds, compareStalls, NO_STALLED_SECONDS } from '../../src/verdict/compare-stalls.ts'
import { near } from '../helpers/near.ts'
import { QUARTERS, side, steadily } from '../helpers/steady-trials.ts'

const TAIL = 0.025
const ALPHA = 0.001

describe('the comparison of stalls', () => {
  const trial = {
    canary: side({ seconds: 100, stalledMs: 4000 }),
    control: side({ seconds: 50, stalledMs: 500 })
  }
  const compare = (borders = steadily(trial, QUARTERS), counts = { canary: 0, control: 0 }, tolerance = 0.1) =>
    compareStalls(trial, borders, { ...NO_STALLED_SECONDS, ...counts }, TAIL, ALPHA, tolerance)
  /** Ten ms per second are expected before there are data; the shorter side counts. */
  const prior = { variance: 100 / 50, batches: 8 }
  const around = (estimate: number, radius: number) => [estimate - radius, estimate + radius]

  it('is that of the time per second', () => {
    const { canary, control, estimate, interval } = compare()
    near([canary!, control!, estimate!], [40, 10, 30])
    near(interval, around(30, batchRadius([0, 0, 0, 0], prior, TAIL)))
  })

  it('does not take periods of different length for a difference', () => {
    near(compare(steadily(trial, [0, 0.1, 0.5, 0.6, 1], [0, 0.3, 0.4, 0.9, 1])).interval, compare().interval!)
  })

  it('is less certain if stalls come together, on either side', () => {
    for (const name of ['canary', 'control'] as const) {
      const borders = steadily(trial, QUARTERS)
      for (const border of borders.slice(1)) border[name].stalledMs = trial[name].stalledMs
      const residuals = [0.75, -0.25, -0.25, -0.25].map((part) => (part * trial[name].stalledMs) / 50)
      near(compare(borders).interval, around(30, batchRadius(residuals, prior, TAIL)))
    }
  })

  it('does not mind stalls of both sides at the same time, as far as they are alike', () => {
    const borders = steadily(trial, QUARTERS)
    for (const border of borders.slice(1)) {
      border.canary.stalledMs = 4000
      border.control.stalledMs = 500
    }
    const residuals = [0.75, -0.25, -0.25, -0.25].map((part) => (part * (4000 - 500)) / 50)
    near(compare(borders).interval, around(30, batchRadius(residuals, prior, TAIL)))
  })

  it('never counts 10 ms per second, nor the tolerance', () => {
    deepEqual([compare().limit, compare(undefined, undefined, 2).limit], [10, 20])
  })

  it('is worse if far more than half of the stalled seconds are the canary’s', () => {
    const verdictOf = (canary: number, control: number, tolerance?: number) =>
      compare(undefined, { canary, control }, tolerance).verdict
    deepEqual([verdictOf(20, 0), verdictOf(20, 15), verdictOf(0, 20)], ['worse', undefined, undefined])
    // With a tolerance of 100 %, two of three may be the canary's.
    deepEqual([verdictOf(80, 24, 0.1), verdictOf(80, 24, 1), verdictOf(80, 2, 1)], ['worse', undefined, 'worse'])
  })

  it('is not worse while the stalls add up to no more than the limit', () => {
    equal(compare(undefined, { canary: 100, control: 0 }, 3).verdict, undefined)
  })
})

describe('a stalled second', () => {
  const at = (seconds: number, canary: number, control: number) => ({
    canary: side({ seconds, stalledMs: canary }),
    control: side({ seconds, stalledMs: control })
  })
  const countsOf = (...trials: ReturnType<typeof at>[]) => {
    const { canary, control } = trials.reduce(addToStalledSeconds, NO_STALLED_SECONDS)
    return [canary, control]
  }

  it('has 50 ms of stalls or more', () => {
    deepEqual(countsOf(at(1, 49, 50), at(2, 49, 99)), [0, 1])
    deepEqual(countsOf(at(1, 50, 49), at(2, 99, 49)), [1, 0])
  })

  it('counts once if several follow each other', () => {
    deepEqual(countsOf(at(1, 60, 0), at(2, 120, 70), at(3, 180, 140)), [1, 1])
    deepEqual(countsOf(at(1, 60, 70), at(2, 60, 70), at(3, 120, 140)), [2, 2])
  })

  it('is judged when it is over', () => {
    deepEqual(countsOf(at(0.9, 60, 60)), [0, 0])
    deepEqual(countsOf(at(1, 30, 30), at(1.5, 60, 60), at(2, 90, 90)), [1, 1])
  })
})
