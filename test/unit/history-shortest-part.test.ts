import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hasReturned, type Interval } from '../history/operations.ts'
import { shortestPart } from '../history/shortest-part.ts'

const call = (id: number, invokedAt: number, returnedAt: number | null): Interval => ({
  id,
  process: 'client',
  invokedAt,
  returnedAt
})
const sequence = (length: number) => Array.from({ length }, (_, i) => call(i, 2 * i, 2 * i + 1))
const idsOf = (operations: readonly Interval[]) => operations.map(({ id }) => id)
/** A history is wrong as soon as each of these operations has returned. */
const contradicts = (...ids: number[]) => {
  return (part: readonly Interval[]) => ids.every((id) => part.some((one) => one.id === id && hasReturned(one)))
}
const always = () => true

test('of a long history the operations that contradict each other are left, after few checks', () => {
  for (const wrong of [[0], [999], [0, 999], [300, 700], [511, 512], [1, 2, 500]]) {
    const isWrong = contradicts(...wrong)
    let checks = 0
    const counted = (part: readonly Interval[]) => {
      checks++
      return isWrong(part)
    }
    assert.deepEqual(idsOf(shortestPart(sequence(1000), counted, always)), wrong)
    assert.ok(checks <= 100, `${checks} checks for ${wrong}`)
  }
})

test('calls that had not returned at the first wrong moment are shown as open, and later ones not at all', () => {
  const operations = [call(1, 0, 9), call(2, 1, 3), call(3, 3, 9), call(4, 3.5, 20), call(5, 0, null)]
  const isWrong = (part: Interval[]) => contradicts(2)(part) && [1, 3, 5].every((id) => idsOf(part).includes(id))
  const expected = [call(1, 0, null), call(2, 1, 3), call(3, 3, null), call(5, 0, null)]
  assert.deepEqual(shortestPart(operations, isWrong, always), expected)
  assert.deepEqual(shortestPart(operations.toReversed(), isWrong, always), expected.reverse())
})

test('an operation is left out only when what it explains is left out too, in whatever order they are recorded', () => {
  // An operation with the same place in the other half is what it explains.
  const explains = ({ id }: Interval, others: Interval[]) => others.some((one) => one.id === (id ^ 32))
  for (const explainsLater of [true, false]) {
    const canDrop = (one: Interval, others: Interval[]) => one.id < 32 !== explainsLater || !explains(one, others)
    const part = shortestPart(sequence(64), contradicts(8, 63), canDrop)
    assert.deepEqual(idsOf(part), explainsLater ? [8, 31, 63] : [8, 40, 63])
  }
})

test('what cannot be left out stays, and takes no checks', () => {
  let checks = 0
  const isWrong = (part: Interval[]) => {
    checks++
    return contradicts(6)(part)
  }
  assert.deepEqual(idsOf(shortestPart(sequence(8), isWrong, () => false)), [0, 1, 2, 3, 4, 5, 6])
  // The search for the first wrong moment halves eight of them.
  assert.equal(checks, 3)
})
