import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { readScale } from '../../src/primary/autoscaling/scale-argument.ts'

const configured = { min: 2, max: 8 }
const limits = { configured, maxWorkers: 16 }

describe('muster scale', () => {
  test('a number, and a change of the present one, fix the number', () => {
    assert.deepEqual(readScale(3, 5, limits), { workers: 3 })
    assert.deepEqual(readScale('+1', 5, limits), { workers: 6 })
    assert.deepEqual(readScale('-1', 5, limits), { workers: 4 })
  })

  test('a range lets the load decide, from the number that is nearest to the present one', () => {
    for (const [desired, workers] of [
      [1, 3],
      [4, 4],
      [9, 6]
    ] as const) {
      assert.deepEqual(readScale('3..6', desired, limits), { workers, range: { min: 3, max: 6 } })
    }
    assert.deepEqual(readScale('3..auto', 3, limits).range, { min: 3, max: 16 })
  })

  test('auto goes back to the range of the configuration', () => {
    assert.deepEqual(readScale('auto', 12, limits), { workers: 8, range: configured })
    assert.throws(
      () => readScale('auto', 2, { ...limits, configured: undefined }),
      /WORKERS is not a range.*such as 2\.\.8/
    )
  })

  test('what is impossible is refused with what is possible', () => {
    for (const [change, message] of [
      [0, /from 1 to 16.*not 0$/],
      ['-9', /from 1 to 16.*not -7$/],
      ['2..17', /must not exceed MAX_WORKERS, which is 16$/],
      ['8..2', /"8\.\.2": .*write 2\.\.8$/],
      ['0..2', /write 1\.\.2$/],
      ['2..', /write both numbers/]
    ] as const) {
      assert.throws(() => readScale(change, 2, limits), { message })
    }
  })
})
