import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseBaseline, parseMeasurement } from '../../src/ipc/parse-measurement.ts'
import { BaselineRecorder, MeasurementRecorder, newUnit } from '../../src/verdict/measurement-recorder.ts'

function measured(): Record<string, unknown> {
  const recorder = new MeasurementRecorder({ all: [1, 2, 3], routes: {} })
  recorder.record(newUnit(), 'GET /', 2.5, true)
  const figures = recorder.measurement({ seconds: 1, stalledMs: 0, cpuMicros: 10, memoryBytes: undefined })
  return JSON.parse(JSON.stringify(figures)) as Record<string, unknown>
}

test('what a worker measures passes', () => {
  const measurement = measured()
  assert.equal(parseMeasurement(measurement), measurement)
  const recorder = new BaselineRecorder()
  recorder.record('GET /', 3)
  const baseline = JSON.parse(JSON.stringify(recorder.baseline())) as object
  assert.equal(parseBaseline(baseline), baseline)
})

test('what is no measurement is dropped, whatever code the worker runs', () => {
  const wrong = [undefined, null, 1, 'text', [], {}, ...changes()]
  for (const value of wrong) assert.equal(parseMeasurement(value), undefined, JSON.stringify(value))
  for (const value of [null, {}, { all: [1] }, { all: ['1'], routes: {} }, { all: [], routes: { 'GET /': 1 } }]) {
    assert.equal(parseBaseline(value), undefined, JSON.stringify(value))
  }
})

function changes(): object[] {
  const negative = Object.keys(measured()).map((key) => ({ ...measured(), [key]: -1 }))
  const many = Object.fromEntries(
    Array.from({ length: 500 }, (_, i) => [`GET /${i}`, { requests: 1, errors: 0, latencyMs: 1 }])
  )
  return [
    ...negative,
    { ...measured(), routes: { 'GET /': { requests: Number.NaN } } },
    { ...measured(), routes: many },
    { ...measured(), slow: [] },
    { ...measured(), latency: new Array(10_000).fill(0) }
  ]
}
