import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isTooDeep, isValueTooDeep, MAX_DEPTH } from '../../src/common/json-depth.ts'

const nested = (depth: number, inner: unknown) =>
  `${'[{"k":'.repeat(depth / 2)}${JSON.stringify(inner)}${'}]'.repeat(depth / 2)}`

test('JSON beyond the limit is too deep, and brackets in its texts do not count', () => {
  const text = fc.string({ unit: fc.constantFrom('[', ']', '{', '}', '"', '\\', 'a'), minLength: 200 })
  fc.assert(
    fc.property(text, (inner) => {
      for (const [depth, isDeep] of [
        [MAX_DEPTH, false],
        [MAX_DEPTH + 2, true]
      ] as const) {
        const json = nested(depth, inner)
        assert.equal(isTooDeep(json), isDeep)
        assert.equal(isValueTooDeep(JSON.parse(json)), isDeep)
      }
    })
  )
  assert.equal(isTooDeep('[[]]'), false)
  assert.equal(isTooDeep(`[${'[],'.repeat(5000)}[]]`), false, 'many are not deep')
})

test('only lists and plain objects are nested values', () => {
  const circular: { self?: object } = {}
  circular.self = circular
  assert.equal(isValueTooDeep(circular), true)
  assert.equal(
    isValueTooDeep(
      new (class Part {
        part = circular
      })()
    ),
    false
  )
  for (const value of [null, undefined, 1, Buffer.alloc(1000), new Map([[1, circular]])]) {
    assert.equal(isValueTooDeep(value), false)
  }
})
