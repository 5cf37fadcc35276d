import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { forecast, smooth, type Trend } from '../../src/primary/autoscaling/forecast.ts'

/** The trend after one sample in every `periodMs`. */
function trendOf(loads: readonly number[], periodMs = 1000): Trend {
  let trend: Trend | undefined
  for (const [i, load] of loads.entries()) trend = smooth(trend, load, i * periodMs)
  return trend!
}

const near = (actual: number, expected: number) =>
  assert.ok(Math.abs(actual - expected) < 1e-6, `${actual} is not ${expected}`)

describe('the trend of the load', () => {
  test('begins with the first sample, and neither rises nor falls yet', () => {
    assert.deepEqual(smooth(undefined, 3, 5000), { level: 3, slope: 0, at: 5000 })
  })

  test('is the load itself when the load stays the same', () => {
    assert.deepEqual(trendOf([2, 2, 2, 2]), { level: 2, slope: 0, at: 3000 })
  })

  test('forecasts a load that rises evenly exactly, however often it is sampled', () => {
    for (const periodMs of [250, 1000, 4000]) {
      const loads = Array.from({ length: 200 }, (_, i) => 1 + (0.2 * i * periodMs) / 1000)
      const trend = trendOf(loads, periodMs)
      near(trend.level, loads.at(-1)!)
      near(trend.slope, 0.2)
      near(forecast(trend, 5000), loads.at(-1)! + 1)
    }
  })

  test('does not expect a falling load to fall further', () => {
    const trend = trendOf(Array.from({ length: 100 }, (_, i) => 30 - 0.2 * i))
    near(trend.slope, -0.2)
    near(forecast(trend, 5000), trend.level)
  })

  test('follows most of a rise at once, and a fall slowly', () => {
    const [rise, fall] = [trendOf([0, 1]), trendOf([1, 0])]
    near(rise.level, 0.7)
    near(rise.slope, 0.28)
    near(fall.level, 0.7)
    near(fall.slope, -0.09)
  })

  test('never goes below 0', () => {
    assert.equal(smooth({ level: 1, slope: -2, at: 0 }, 0, 1000).level, 0)
  })

  test('takes a further sample of the same moment instead of the one before, at the slope that is known', () => {
    assert.deepEqual(smooth({ level: 1, slope: 0.5, at: 3000 }, 4, 3000), { level: 4, slope: 0.5, at: 3000 })
  })
})
