import { deepEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  LATENCY_BOUNDS_MS,
  LATENCY_BUCKETS,
  type LatencyLimits,
  latencyBucket,
  MAX_ROUTES,
  OTHER_ROUTES
} from '../../src/ipc/measurement.ts'
import {
  addMeasurements,
  BaselineRecorder,
  emptyMeasurement,
  MeasurementRecorder,
  newUnit
} from '../../src/verdict/measurement-recorder.ts'
import { Random } from '../helpers/random.ts'

const OF_PROCESS = { seconds: 3, stalledMs: 40, cpuMicros: 5000, memoryBytes: 1e6 }
const LIMITS: LatencyLimits = { all: [10, 20, 30], routes: { 'GET /slow': [100, 200, 300] } }

describe('latency buckets', () => {
  it('hold each latency below their bound, and above the bound before', () => {
    const random = new Random(1)
    for (let i = 0; i < 10_000; i++) {
      const latency = 0.01 * 10 ** (8 * random.next())
      const bucket = latencyBucket(latency)
      ok(latency <= LATENCY_BOUNDS_MS[bucket]! * (1 + 1e-9), `${latency}`)
      ok(bucket === 0 || latency > LATENCY_BOUNDS_MS[bucket - 1]!, `${latency}`)
    }
  })

  it('hold their own bounds, and take anything', () => {
    for (const [i, bound] of LATENCY_BOUNDS_MS.entries()) equal(latencyBucket(bound), i)
    equal(latencyBucket(0), 0)
    equal(latencyBucket(-1), 0)
    equal(latencyBucket(Number.NaN), 0)
    equal(latencyBucket(1e12), LATENCY_BUCKETS - 1)
  })
})

describe('the figures of a measured worker', () => {
  it('are the sums over all connections, in whatever order their requests come', () => {
    const random = new Random(2)
    const recorder = new MeasurementRecorder(LIMITS)
    const units = Array.from({ length: 30 }, () => ({ tally: newUnit(), requests: 0, slow: [0, 0, 0], failed: false }))
    let errors = 0
    for (let i = 0; i < 2000; i++) {
      const unit = units[Math.floor(30 * random.next() ** 2)]!
      const isSlowRoute = random.chance(0.3)
      const latency = 40 * random.next() * (isSlowRoute ? 10 : 1)
      const isError = random.chance(0.01)
      recorder.record(unit.tally, isSlowRoute ? 'GET /slow' : 'GET /', latency, isError)
      unit.requests++
      if (isError) errors++
      unit.failed ||= isError
      for (const [j, limit] of LIMITS.all.entries()) if (latency > limit * (isSlowRoute ? 10 : 1)) unit.slow[j]!++
    }
    const sum = (value: (unit: (typeof units)[number]) => number) => units.map(value).reduce((a, b) => a + b)
    const figures = recorder.measurement(OF_PROCESS)
    equal(figures.requests, 2000)
    equal(figures.errors, errors)
    equal(
      figures.units,
      sum((unit) => Number(unit.requests > 0))
    )
    equal(
      figures.failedUnits,
      sum((unit) => Number(unit.failed))
    )
    equal(
      figures.unitSquares,
      sum((unit) => unit.requests ** 2)
    )
    for (const [j, slow] of figures.slow.entries()) {
      deepEqual(slow, {
        requests: sum((unit) => unit.slow[j]!),
        squares: sum((unit) => unit.slow[j]! ** 2),
        products: sum((unit) => unit.slow[j]! * unit.requests)
      })
    }
    equal(
      figures.latency.reduce((a, b) => a + b),
      2000
    )
    equal(figures.cpuMicros, 5000)
  })

  it('are kept by route, and beyond the limit for all further routes together', () => {
    const recorder = new MeasurementRecorder()
    const unit = newUnit()
    for (let i = 0; i < MAX_ROUTES + 5; i++) recorder.record(unit, `GET /${i}`, 2, i === 3)
    recorder.record(unit, 'GET /0', 4, false)
    const { routes, slow } = recorder.measurement(OF_PROCESS)
    deepEqual(routes['GET /0'], { requests: 2, errors: 0, latencyMs: 6 })
    deepEqual(routes['GET /3'], { requests: 1, errors: 1, latencyMs: 2 })
    deepEqual(routes[OTHER_ROUTES], { requests: 5, errors: 0, latencyMs: 10 })
    equal(slow[0].products, 0)
  })

  it('are added for several workers, without adding their time', () => {
    const [first, second] = [1, 2].map((requests) => {
      const recorder = new MeasurementRecorder(LIMITS)
      const unit = newUnit()
      for (let i = 0; i < requests; i++) recorder.record(unit, i === 0 ? 'GET /' : 'GET /b', 25, true)
      return recorder.measurement({ ...OF_PROCESS, seconds: requests })
    })
    const sum = addMeasurements([first!, second!])
    deepEqual(sum, {
      ...emptyMeasurement(),
      seconds: 2,
      requests: 3,
      errors: 3,
      units: 2,
      failedUnits: 2,
      unitSquares: 5,
      stalledMs: 80,
      cpuMicros: 10_000,
      latency: sum.latency,
      slow: [
        { requests: 3, squares: 5, products: 5 },
        { requests: 3, squares: 5, products: 5 },
        { requests: 0, squares: 0, products: 0 }
      ],
      routes: {
        'GET /': { requests: 2, errors: 2, latencyMs: 50 },
        'GET /b': { requests: 1, errors: 1, latencyMs: 25 }
      }
    })
    equal(sum.latency[latencyBucket(25)], 3)
  })
})

describe('a baseline', () => {
  it('counts latencies of all requests, and of a limited number of routes', () => {
    const recorder = new BaselineRecorder()
    for (let i = 0; i < MAX_ROUTES + 5; i++) recorder.record(`GET /${i}`, 3)
    recorder.record('GET /0', 3)
    const { all, routes } = recorder.baseline()
    equal(all[latencyBucket(3)], MAX_ROUTES + 6)
    equal(Object.keys(routes).length, MAX_ROUTES)
    equal(routes['GET /0']![latencyBucket(3)], 2)
  })
})
