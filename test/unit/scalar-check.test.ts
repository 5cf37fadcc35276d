import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Ajv } from 'ajv'
import fc from 'fast-check'
import { registry } from '../../src/admin/registry.ts'
import type { Schema } from '../../src/common/json-schema.ts'
import { coerceText, scalarIssue } from '../../src/common/scalar-check.ts'
import { environmentSchema } from '../../src/config/environment-schema.ts'
import { counted } from '../helpers/counted.ts'
import { anyJson, fuzz } from '../helpers/fuzz.ts'

const ajv = new Ajv({ strict: false })
const coercing = new Ajv({ strict: false, coerceTypes: true })
const variables = Object.values<Schema>(environmentSchema.properties)
const args = registry.commands.flatMap((command) => Object.values<Schema>(command.args.properties))

const scalar = fc.oneof(
  anyJson,
  fc.integer(),
  fc.double(),
  fc.string({ unit: 'binary' }),
  fc.constantFrom('auto', '5', '+5', '10%', '0.5%', '5m', '100ms', 'on', 'info', 'GET /todos/:id')
)
const text = fc.oneof(
  fc.string({ minLength: 1 }),
  fc.integer().map(String),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.constantFrom('0x10', '1e3', ' 5 ', '65535', '65536', '-1', '1,000', 'auto', '2..auto', 'on', 'off', 'rr')
)

test('a variable or an argument fits as ajv says', async (t) => {
  const runs = await fuzz(0.1, fc.tuple(fc.constantFrom(...variables, ...args), scalar), ([schema, value]) => {
    assert.equal(scalarIssue(schema, value) === undefined, ajv.validate(schema, value), JSON.stringify(schema))
  })
  counted(t, { 'fuzzed inputs': runs })
})

test('a text becomes the number that ajv makes of it; blank text is no number', async (t) => {
  const runs = await fuzz(0.1, fc.tuple(fc.constantFrom(...variables), text), ([schema, given]) => {
    const holder: { value: unknown } = { value: given }
    const isValid = coercing.validate({ type: 'object', properties: { value: schema } }, holder)
    const value = coerceText(schema, given)
    const isBlankNumber = given.trim() === '' && schema.type === 'integer'
    assert.equal(scalarIssue(schema, value) === undefined, isValid && !isBlankNumber, JSON.stringify([schema, given]))
    if (isValid && !isBlankNumber) assert.equal(value, holder.value)
  })
  counted(t, { 'fuzzed inputs': runs })
})

test('the issue names the limit', () => {
  for (const [schema, value, issue] of [
    [{ type: 'integer' }, 1.5, 'must be integer'],
    [{ type: 'number', exclusiveMinimum: 0 }, 0, 'must be > 0'],
    [{ minimum: 1 }, 0, 'must be >= 1'],
    [{ maximum: 1 }, 2, 'must be <= 1'],
    [{ minLength: 2 }, '𝄞', 'must have at least 2 characters'],
    [{ maxLength: 1 }, '𝄞a', 'must have at most 1 characters'],
    [{ pattern: '^a$' }, 'b', 'must match ^a$'],
    [{ const: 'a' }, 'b', 'must be a'],
    [{ anyOf: [{ const: 'a' }] }, 'b', 'must be one of the choices']
  ] as const) {
    assert.equal(scalarIssue(schema, value), issue)
  }
  assert.equal(scalarIssue({ maxLength: 1 }, '𝄞'), undefined, 'a character outside of the basic plane counts once')
})
