import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isTooDeep, MAX_DEPTH } from '../../src/common/json-depth.ts'

const nested = (depth: number, inner: unknown) =>
  `${'[{"k":'.repeat(depth / 2)}${JSON.stringify(inner)}${'}]'.repeat(depth / 2)}`

test('JSON beyond the limit is too deep, and brackets in its texts do not count', () => {
  const text = fc.string({ unit: fc.constantFrom('[', ']', '{', '}', '"', '\\', 'a'), minLength: 200 })
  fc.assert(
    fc.property(text, (inner) => {
      assert.equal(isTooDeep(nested(MAX_DEPTH, inner)), false)
      assert.equal(isTooDeep(nested(MAX_DEPTH + 2, inner)), true)
    })
  )
  assert.equal(isTooDeep('[[]]'), false)
  assert.equal(isTooDeep(`[${'[],'.repeat(5000)}[]]`), false, 'many are not deep')
})
