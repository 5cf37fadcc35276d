import { deepEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { LATENCY_BUCKETS } from '../../src/ipc/measurement.ts'
import { addBaselines, LATENCY_FLOOR_MS, latencyLimits, quantile } from '../../src/verdict/latency-limits.ts'
import { BaselineRecorder } from '../../src/verdict/measurement-recorder.ts'
import { Random } from '../helpers/random.ts'

describe('the limits of slow requests', () => {
  it('are the quantiles of the old release, within 3 %', () => {
    const random = new Random(1)
    const latencies = Array.from({ length: 20_000 }, () => 5 / (1 - random.next()) ** 0.7)
    const recorder = new BaselineRecorder()
    for (const latency of latencies) recorder.record('GET /', latency)
    latencies.sort((a, b) => a - b)
    const { control } = latencyLimits(recorder.baseline(), 0.1)!
    for (const [i, share] of [0.5, 0.95, 0.99].entries()) {
      ok(Math.abs(control.all[i]! / latencies[share * 20_000]! - 1) < 0.03)
    }
  })

  it('are higher for the canary, by the tolerance or by a floor', () => {
    const { control, canary } = latencyLimits(baselineOf(1000, 40), 0.1)!
    ok(Math.abs(canary.all[0] / control.all[0] - 1.1) < 1e-9)
    const fast = latencyLimits(baselineOf(1000, 0.4), 0.1)!
    ok(Math.abs(fast.canary.all[2] - fast.control.all[2] - LATENCY_FLOOR_MS) < 1e-9)
  })

  it('exist for routes with enough requests only', () => {
    const recorder = new BaselineRecorder()
    for (let i = 0; i < 500; i++) recorder.record('GET /often', 5)
    for (let i = 0; i < 50; i++) recorder.record('GET /enough', 50)
    for (let i = 0; i < 49; i++) recorder.record('GET /rare', 500)
    const { control, canary } = latencyLimits(recorder.baseline(), 0.1)!
    deepEqual(Object.keys(control.routes), ['GET /often', 'GET /enough'])
    deepEqual(Object.keys(canary.routes), ['GET /often', 'GET /enough'])
  })

  it('do not exist before there is a baseline', () => {
    equal(latencyLimits(baselineOf(499, 5), 0.1), undefined)
    ok(latencyLimits(baselineOf(500, 5), 0.1))
    equal(latencyLimits(addBaselines([]), 0.1), undefined)
  })

  it('are the same whether one or several workers recorded the baseline', () => {
    const sum = addBaselines([baselineOf(250, 8), baselineOf(250, 30)])
    const one = new BaselineRecorder()
    for (let i = 0; i < 500; i++) one.record('GET /', i < 250 ? 8 : 30)
    deepEqual(latencyLimits(sum, 0.1), latencyLimits(one.baseline(), 0.1))
  })
})

describe('a quantile', () => {
  it('is undefined without requests, and the last bound where latencies exceed all buckets', () => {
    equal(quantile(Array(LATENCY_BUCKETS).fill(0), 0.5), undefined)
    const counts = Array(LATENCY_BUCKETS).fill(0)
    counts[LATENCY_BUCKETS - 1] = 3
    ok(quantile(counts, 0.5)! > 100_000)
  })

  it('is below the first bound where all latencies are', () => {
    const counts = Array(LATENCY_BUCKETS).fill(0)
    counts[0] = 10
    equal(quantile(counts, 0.5), 0.05)
  })

  it('is the bound of a bucket that holds exactly this share, however much slower the next requests are', () => {
    const counts = Array(LATENCY_BUCKETS).fill(0)
    counts[0] = 10
    counts[90] = 10
    equal(quantile(counts, 0.5), 0.1)
  })
})

function baselineOf(requests: number, latencyMs: number) {
  const recorder = new BaselineRecorder()
  for (let i = 0; i < requests; i++) recorder.record('GET /', latencyMs)
  return recorder.baseline()
}
