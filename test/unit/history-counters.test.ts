import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Random } from '../helpers/random.ts'
import { checkCounter } from '../history/counters.ts'
import { linearize, type Model } from '../history/linearizability.ts'
import type { CounterOperation } from '../history/operations.ts'
import { simulate } from '../history/simulate.ts'

/** The same object for the search, to compare the direct rule with. */
const COUNTER: Model<number, CounterOperation> = {
  initial: 0,
  textOf: String,
  step(state, { kind, number, returnedAt }) {
    const next = kind === 'increment' ? state + 1 : state
    return returnedAt === null || number === next ? next : undefined
  }
}

let lastId = 0
const operation = (kind: 'increment' | 'read', number: number, from: number, to: number | null): CounterOperation => ({
  id: lastId++,
  process: 'client',
  model: 'counter',
  object: 'hits',
  kind,
  invokedAt: from,
  returnedAt: to,
  ...(to !== null && { number })
})
const hit = (number: number, from: number, to: number) => operation('increment', number, from, to)
const lost = (from: number) => operation('increment', 0, from, null)
const read = (number: number, from: number, to: number) => operation('read', number, from, to)

const had = (first: string, second: string) => `${first} had returned when ${second} was called`
const unexplained = (number: number) => `the number ${number} was counted, and no call can have counted it`

function simulated(seed: number, size = { clients: 8, each: 40 }): CounterOperation[] {
  const random = new Random(seed)
  let count = 0
  return simulate<CounterOperation>(
    random,
    size,
    (moments) => ({ ...moments, model: 'counter', object: 'hits', kind: random.chance(0.9) ? 'increment' : 'read' }),
    (one) => {
      one.number = one.kind === 'increment' ? ++count : count
    }
  )
}

test('histories of a correct counter are accepted, with unknown outcomes and reads', () => {
  for (let seed = 0; seed < 200; seed++) assert.deepEqual(checkCounter(simulated(seed)), [], `seed ${seed}`)
  assert.deepEqual(checkCounter([]), [])
})

test('the direct rule says the same as a search over all orders', () => {
  const any = fc
    .tuple(fc.boolean(), fc.integer({ min: 0, max: 5 }), fc.nat(10), fc.nat(5), fc.nat(3))
    .map(([isRead, number, from, length, open]) =>
      operation(isRead ? 'read' : 'increment', number, from, open === 0 ? null : from + length)
    )
  let right = 0
  let wrong = 0
  const property = fc.property(fc.array(any, { maxLength: 5 }), (operations) => {
    const isRight = linearize(COUNTER, operations).is === 'linearizable'
    if (isRight) right++
    else wrong++
    assert.equal(checkCounter(operations).length === 0, isRight)
  })
  fc.assert(property, { numRuns: 20_000, seed: 1 })
  // Histories that are nearly right: a correct one with one changed number.
  for (let seed = 0; seed < 300; seed++) {
    const random = new Random(seed)
    const operations = simulated(seed, { clients: 3, each: 6 })
    const answered = operations.filter(({ returnedAt }) => returnedAt !== null)
    const changed = answered[random.between(0, answered.length - 1)]!
    changed.number! += random.between(-2, 2)
    const outcome = linearize(COUNTER, operations, 20_000).is
    if (outcome === 'undecided') continue
    if (outcome === 'linearizable') right++
    else wrong++
    assert.equal(checkCounter(operations).length === 0, outcome === 'linearizable', `seed ${seed}`)
  }
  assert.ok(right > 300 && wrong > 300, `${right} right, ${wrong} wrong`)
})

/** The operations that a violation shows are given by their positions in the history. */
const wrongHistories: [name: string, operations: CounterOperation[], rule: string, shown: number[]][] = [
  ['a number that was given twice', [hit(1, 0, 1), hit(2, 2, 3), hit(2, 4, 5)], 'the number 2 was given twice', [1, 2]],
  ['a number given twice, later call first', [hit(1, 2, 3), hit(1, 0, 1)], 'the number 1 was given twice', [1, 0]],
  ['a number in the wrong order of real time', [hit(2, 0, 1), hit(1, 2, 3)], had('number 2', 'number 1'), [0, 1]],
  ['a number that no call can have counted', [hit(1, 0, 1), hit(3, 2, 3)], unexplained(2), [1]],
  ['a lost call that was counted before it was made', [hit(2, 0, 1), lost(2)], unexplained(1), [0, 1]],
  ['a lost call made after a later number had returned', [lost(4), hit(2, 0, 9), hit(3, 0, 3)], unexplained(1), [2, 0]],
  ['a missing number before two that returned at one moment', [hit(2, 0, 5), hit(3, 0, 5)], unexplained(1), [0]],
  [
    'a number that had returned when two lower ones were called',
    [hit(3, 0, 1), hit(1, 2, 3), hit(2, 2, 4)],
    had('number 3', 'number 1'),
    [0, 1]
  ],
  ['a lost call that was counted twice', [lost(0), hit(3, 1, 2)], unexplained(2), [1]],
  ['a stale read', [hit(1, 0, 1), hit(2, 2, 3), read(1, 4, 5)], had('number 2', 'a read of 1'), [1, 2]],
  ['a read that goes back', [lost(0), read(1, 1, 2), read(0, 3, 4)], had('a read of 1', 'a read of 0'), [1, 2]],
  ['a read of a count that nothing can have made', [hit(1, 0, 1), read(2, 2, 3)], unexplained(2), [1]],
  ['a read of a later number', [read(1, 0, 1), hit(1, 2, 3)], had('a read of 1', 'number 1'), [0, 1]],
  ['a number below the first', [hit(0, 0, 1)], '0 is below the first number', [0]],
  ['a read below the first', [read(-1, 0, 1)], '-1 is below the first number', [0]]
]
for (const [name, operations, rule, shown] of wrongHistories) {
  test(`${name} is found, and shown with nothing else`, () => {
    const expected = [{ object: 'counter hits', rule, operations: shown.map((i) => operations[i]!) }]
    assert.deepEqual(checkCounter(operations), expected)
  })
}

test('a counter may begin with another number, which its reads see too', () => {
  assert.deepEqual(checkCounter([read(6, 0, 1), hit(8, 2, 4), hit(7, 2, 3), read(8, 5, 6)], 7), [])
  assert.equal(checkCounter([hit(6, 0, 1)], 7)[0]?.rule, '6 is below the first number')
  assert.equal(checkCounter([read(5, 0, 1)], 7)[0]?.rule, '5 is below the first number')
  assert.equal(checkCounter([hit(8, 0, 1)], 7)[0]?.rule, unexplained(7))
})

test('an unknown outcome counts late, or never, and fills one gap only', () => {
  assert.deepEqual(checkCounter([lost(0), hit(1, 5, 6), hit(3, 100, 101)]), [])
  assert.deepEqual(checkCounter([lost(0), hit(1, 5, 6), hit(2, 100, 101)]), [])
  assert.deepEqual(checkCounter([operation('read', 0, 0, null), hit(1, 5, 6)]), [])
  assert.equal(checkCounter([lost(0), hit(1, 5, 6), hit(4, 100, 101)]).length, 1)
})

test('200,000 hits are checked within the time of a test', () => {
  const operations = Array.from({ length: 200_000 }, (_, i) => hit(i + 1, i, i + 40))
  assert.deepEqual(checkCounter(operations), [])
  operations[100_000]!.number = 999_999_999
  assert.equal(checkCounter(operations).length, 1)
})
