import { deepEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { latencyBucket } from '../../src/ipc/measurement.ts'
import { batchRadius, compareSlow, effectiveUnits, missingUnits } from '../../src/verdict/compare-latency.ts'
import { studentQuantile } from '../../src/verdict/statistics.ts'
import { near } from '../helpers/near.ts'
import { QUARTERS, side, steadily } from '../helpers/steady-trials.ts'

const TAIL = 0.025
/** The square of Hoeffding's bound for this tail. */
const BOUND = 2 * Math.log(1 / TAIL)

describe('the radius of the interval of a sum of batches', () => {
  const radius = (degrees: number, variance: number) => studentQuantile(TAIL, degrees) * Math.sqrt(variance)
  const unknown = { variance: 0, batches: 0 }

  it('is that of Student’s t if nothing is known before', () => {
    near(batchRadius([1, -1, 0], unknown, TAIL), radius(2, 3))
  })

  it('is that of the expected variance as long as the batches do not vary', () => {
    near(batchRadius(Array(9).fill(0), { variance: 4, batches: 8 }, TAIL), radius(16, 2))
  })

  it('weighs the expected variance and that of the batches by their degrees of freedom', () => {
    near(batchRadius([1, -1, 0], { variance: 1, batches: 8 }, TAIL), radius(10, 1.4))
  })

  it('is larger if batches that follow each other are alike', () => {
    // The covariances of the first three lags, 7, 4 and 1, count by 3/4, 2/4 and 1/4, twice.
    near(batchRadius([1, 1, 1, 1, 1, -1, -1, -1, -1, -1], unknown, TAIL), radius(9, (25 * 10) / 9))
  })

  it('is not smaller if batches make up for each other, unless the caller expects that', () => {
    const alternating = [1, -1, 1, -1, 1, -1, 1, -1, 1, -1]
    near(batchRadius(alternating, unknown, TAIL), radius(9, 100 / 9))
    near(batchRadius(alternating, { ...unknown, leastFactor: 0.5 }, TAIL), radius(9, 50 / 9))
    near(batchRadius(alternating, { ...unknown, leastFactor: 0 }, TAIL), radius(9, 10 / 9))
  })
})

describe('the connections of a trial', () => {
  it('count by Kish’s effective number: a few large ones are worth little', () => {
    equal(effectiveUnits({ canary: side({ requests: 30 }), control: side({ requests: 50 }) }), 80)
    const large = side({ requests: 10, units: 1, unitSquares: 100 })
    near(effectiveUnits({ canary: side({ requests: 10 }), control: large }), 400 / 110)
    equal(effectiveUnits({ canary: side({}), control: side({}) }), 0)
  })

  it('suffice if their effective number is above the least one, and each side has two', () => {
    const of = (canary: number, control: number) => ({
      canary: side({ requests: canary }),
      control: side({ requests: control })
    })
    deepEqual([missingUnits(of(10, 10), 21.5), missingUnits(of(10, 10), 20), missingUnits(of(10, 10), 19.9)], [2, 1, 0])
    deepEqual([missingUnits(of(1, 50), 20), missingUnits(of(50, 0), 20), missingUnits(of(2, 50), 20)], [1, 2, 0])
  })
})

describe('the comparison of slow requests', () => {
  const canary = side({ requests: 1000, slow: 100 })
  const control = side({ requests: 2000, slow: 60 })
  const trial = { canary, control }
  const estimate = 0.1 - 0.03
  const variance = (100 * 0.9 + 2) / 1000 ** 2 + (60 * 0.97 + 2) / 2000 ** 2
  const byUnit = (ofShares = variance, units = 3000) => BOUND * ofShares * (units / (units - BOUND))
  const expected = (...squares: number[]) => {
    const radius = Math.sqrt(squares.reduce((sum, square) => sum + square))
    return [estimate - radius, estimate + radius]
  }

  it('compares shares of requests, by the differences between connections if batches are alike', () => {
    const result = compareSlow(trial, steadily(trial, QUARTERS), 0, TAIL)
    near(result.estimate, estimate)
    near(result.interval, expected(byUnit()))
  })

  it('does not take a varying load for a difference', () => {
    const borders = steadily(trial, [0, 0.1, 0.5, 0.6, 1], [0, 0.3, 0.4, 0.9, 1])
    near(compareSlow(trial, borders, 0, TAIL).interval, expected(byUnit()))
  })

  it('is less certain if slow requests come at the same time, on either side', () => {
    const shared = BOUND * ((0.1 * 0.9) / 1000 + (0.03 * 0.97) / 2000)
    const inTheFirstQuarter = (name: 'canary' | 'control', slow: number) =>
      steadily(trial, QUARTERS).map((border, i) => ({
        ...border,
        [name]: { ...border[name], slow: i === 0 ? [0, 0, 0] : [slow, slow, slow] }
      }))
    for (const [name, slow, requests] of [
      ['canary', 100, 1000],
      ['control', 60, 2000]
    ] as const) {
      const residuals = [0.75, -0.25, -0.25, -0.25].map((part) => (part * slow) / requests)
      const byTime = batchRadius(residuals, { variance, batches: 8 }, TAIL)
      const { interval } = compareSlow(trial, inTheFirstQuarter(name, slow), 1, TAIL)
      near(interval, expected(byUnit(), byTime ** 2, -shared))
    }
  })

  it('does not mind slow requests on both sides at the same time, as far as they are alike', () => {
    const both = { canary: side({ requests: 1000, slow: 100 }), control: side({ requests: 1000, slow: 100 }) }
    const borders = steadily(both, QUARTERS)
    for (const border of borders.slice(1)) border.canary.slow = border.control.slow = [100, 100, 100]
    const steady = compareSlow(both, steadily(both, QUARTERS), 0, TAIL)
    near(compareSlow(both, borders, 0, TAIL).interval, steady.interval!)
  })

  it('counts connections whose requests are alike by the connection', () => {
    // 100 connections with ten requests each: all of them are slow, or none is.
    const alike = side({ requests: 1000, units: 100, unitSquares: 10_000 })
    alike.slow[2] = { requests: 500, squares: 5000, products: 5000 }
    const both = { canary: alike, control: alike }
    const ofShares = (2 * (10_000 * 0.25 + 2)) / 1000 ** 2
    const byTime = batchRadius([0, 0, 0, 0], { variance: ofShares, batches: 8 }, TAIL)
    const shared = (BOUND * 2 * 0.25) / 1000
    const radius = Math.sqrt(byUnit(ofShares, 200) + byTime ** 2 - shared)
    near(compareSlow(both, steadily(both, QUARTERS), 2, TAIL).interval, [-radius, radius])
  })

  it('is never more certain than batches allow, even if all connections have the same share', () => {
    const even = side({ requests: 1000, units: 500, unitSquares: 2000 })
    even.slow[0] = { requests: 500, squares: 500, products: 1000 }
    const both = { canary: even, control: even }
    const borders = steadily(both, QUARTERS)
    for (const border of borders.slice(1, 4)) border.canary.slow[0] += 8
    const radius = batchRadius([0.008, 0, 0, -0.008], { variance: 4 / 1000 ** 2, batches: 8 }, TAIL)
    near(compareSlow(both, borders, 0, TAIL).interval, [-radius, radius])
  })

  it('shows the quantile of each side, and what is no worse: 3, 1 or 0.4 of 100 requests more', () => {
    const latency = (slowest: number) => {
      const counts = side({}).latency
      counts[latencyBucket(1)] = 94
      counts[latencyBucket(10)] = 4
      counts[latencyBucket(slowest)] = 2
      return counts
    }
    const both = { canary: { ...canary, latency: latency(100) }, control: { ...control, latency: latency(50) } }
    const shown = [0, 1, 2].map((index) => compareSlow(both, steadily(both, QUARTERS), index, TAIL))
    deepEqual(
      shown.map(({ limit, margin }) => [limit, margin]),
      [
        [0, 0.03],
        [0, 0.01],
        [0, 0.004]
      ]
    )
    for (const [i, [ofCanary, ofControl]] of [
      [1, 1],
      [10, 10],
      [100, 50]
    ].entries()) {
      ok(Math.abs(shown[i]!.canary! / ofCanary! - 1) < 0.1, `${shown[i]!.canary}`)
      ok(Math.abs(shown[i]!.control! / ofControl! - 1) < 0.1, `${shown[i]!.control}`)
    }
  })

  it('says how many connections are missing', () => {
    const few = { canary: side({ requests: 2 }), control: side({ requests: 2 }) }
    const { estimate: none, reason } = compareSlow(few, steadily(few, QUARTERS), 0, TAIL)
    deepEqual([none, reason], [undefined, 'needs 4 more connections of similar size'])
    const enough = { canary: side({ requests: 4 }), control: side({ requests: 4 }) }
    equal(compareSlow(enough, steadily(enough, QUARTERS), 0, TAIL).reason, undefined)
  })
})
