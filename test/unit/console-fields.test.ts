import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SERVICE_SETTINGS } from '../../src/state/shared/service-settings.ts'
import { consoleModule } from '../helpers/page-module.ts'

const { choiceLabel, fieldOf, shownAs, settingFrom } = await consoleModule('model/setting-fields.js')
const { scaleFor } = await consoleModule('model/units.js')
const { WorkerSamples } = await consoleModule('model/worker-samples.js')

const { maintenance, banner, logLevel } = SERVICE_SETTINGS.properties

const FIELDS: [what: string, schema: object | undefined, value: unknown, kind: string, attributes: object][] = [
  ['a flag', maintenance, false, 'checkbox', {}],
  ['a long text', banner, '', 'textarea', { maxLength: 500 }],
  ['a short text', { type: 'string', minLength: 2, maxLength: 9 }, '', 'text', { minLength: 2, maxLength: 9 }],
  ['one of several values', logLevel, null, 'select', {}],
  ['an enum', { enum: ['a', 'b'] }, 'a', 'select', {}],
  ['a whole number', { type: 'integer', minimum: 1, maximum: 5 }, 1, 'number', { step: 1, min: 1, max: 5 }],
  ['a number', { type: 'number' }, 0.5, 'number', { step: 'any' }],
  ['a list', { type: 'array', items: { type: 'string' } }, [], 'json', {}],
  ['a value without a schema', undefined, true, 'checkbox', {}]
]
for (const [what, schema, value, kind, attributes] of FIELDS) {
  test(`the schema of ${what} gives the field ${kind}, and the value survives it`, () => {
    const field = fieldOf(schema, value)
    assert.equal(field.kind, kind)
    assert.deepEqual(field.attributes, attributes)
    assert.deepEqual(settingFrom(field, shownAs(field, value)), value)
  })
}

test('the description of a schema is the hint of its field, and null has a name among choices', () => {
  assert.equal(fieldOf(banner, '').hint, banner.description)
  assert.ok(fieldOf(logLevel, null).choices.includes(null))
  assert.equal(choiceLabel(null, { null: 'as LOG_LEVEL says' }), 'as LOG_LEVEL says')
})

test('text that is no JSON is refused with a remedy', () => {
  assert.throws(() => settingFrom(fieldOf({ type: 'object' }, {}), '{a}'), /not JSON: check quotes/)
})

test('scales are round numbers that are not below the peak', () => {
  assert.deepEqual(
    [0, 1, 3, 7, 10, 11, 999].map((peak) => scaleFor(peak)),
    [1, 1, 5, 10, 10, 20, 1000]
  )
  assert.equal(scaleFor(70 * 2 ** 20, 2 ** 20), 100 * 2 ** 20)
})

test('a rate is taken over several heartbeats, and a worker that is gone is forgotten', () => {
  const samples = new WorkerSamples(120)
  const worker = (requests: number) => ({ slot: 0, pid: 1, requests, inFlight: 0, loopDelayMs: 1, rssBytes: 1 })
  for (const second of [0, 1, 2, 3]) samples.add([worker(second * 10)], second * 1000)
  assert.equal(samples.totalRate, 10)
  assert.equal(samples.ageAt(3000), 3)
  samples.add([worker(40)], 200_000)
  assert.equal(samples.of(worker(40)).length, 1, 'old samples are dropped')
  samples.add([], 201_000)
  assert.equal(samples.totalRate, 0)
})
