import assert from 'node:assert/strict'
import { test } from 'node:test'
import { contradictions, type TimedNumber } from '../helpers/timed-hits.ts'

const hit = (from: number, to: number, number: number): TimedNumber => ({ from, to, number, isRead: false })
const read = (from: number, to: number, number: number): TimedNumber => ({ from, to, number, isRead: true })

test('a counter that numbers its callers in any order of their overlap is right', () => {
  assert.deepEqual(contradictions([hit(0, 9, 2), hit(1, 3, 1), hit(4, 6, 3), read(5, 7, 3), read(8, 9, 3)]), [])
})

test('a number that is given twice is found', () => {
  assert.equal(contradictions([hit(0, 1, 1), hit(0, 2, 2), hit(1, 3, 2)]).length, 1)
})

test('a later hit with a lower number is found', () => {
  assert.equal(contradictions([hit(0, 1, 5), hit(2, 3, 4)]).length, 1)
})

test('a read that has forgotten an acknowledged hit is found', () => {
  assert.equal(contradictions([hit(0, 1, 5), read(2, 3, 4)]).length, 1)
})

test('a read of a number that only a later hit gets is found', () => {
  assert.equal(contradictions([read(0, 1, 5), hit(2, 3, 5)]).length, 1)
})
