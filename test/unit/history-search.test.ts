import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Random } from '../helpers/random.ts'
import { linearize, type Model } from '../history/linearizability.ts'
import { hasReturned, type Interval, isBefore } from '../history/operations.ts'
import { checkRegister, type Register } from '../history/registers.ts'
import { simulate } from '../history/simulate.ts'

/** A write of a number, or a read that found one. */
interface Access extends Interval {
  writes: boolean
  value: number
}

const REGISTER: Register<number, Access> = {
  initial: 0,
  textOf: String,
  isWrite: ({ writes }) => writes,
  isSeenBy: ({ value }, other) => !other.writes && other.value === value,
  step: (state, { writes, value }) => (writes || state === value ? value : undefined)
}

let lastId = 0
const access = (writes: boolean, value: number, invokedAt: number, returnedAt: number | null): Access => ({
  id: lastId++,
  process: 'client',
  writes,
  value,
  invokedAt,
  returnedAt
})
const write = (value: number, from: number, to: number | null) => access(true, value, from, to)
const read = (value: number, from: number, to: number | null) => access(false, value, from, to)

/** Tries every order of every choice of unknown outcomes. */
function hasOrder<S, O extends Interval>({ step, initial }: Model<S, O>, operations: O[]): boolean {
  const extend = (state: S, left: O[]): boolean =>
    !left.some(hasReturned) ||
    left.some((next) => {
      if (left.some((other) => isBefore(other, next))) return false
      const after = step(state, next)
      return (
        after !== undefined &&
        extend(
          after,
          left.filter((one) => one !== next)
        )
      )
    })
  return extend(initial, operations)
}

const anyAccess = fc
  .tuple(fc.boolean(), fc.nat(3), fc.nat(12), fc.nat(6), fc.boolean())
  .map(([writes, value, from, length, isOpen]) => access(writes, value, from, isOpen && writes ? null : from + length))

test('the search finds an order exactly when trying every order finds one', () => {
  let right = 0
  let wrong = 0
  const property = fc.property(fc.array(anyAccess, { maxLength: 6 }), (operations) => {
    const expected = hasOrder(REGISTER, operations)
    if (expected) right++
    else wrong++
    assert.equal(linearize(REGISTER, operations).is, expected ? 'linearizable' : 'violation')
  })
  fc.assert(property, { numRuns: 3000, seed: 1 })
  assert.ok(right > 300 && wrong > 300, `${right} right, ${wrong} wrong`)
})

test('the order that the search finds respects real time and explains every result', () => {
  const operations = [write(1, 0, 10), write(2, 0, 10), read(1, 11, 12), write(3, 2, null), read(3, 13, 14)]
  const outcome = linearize(REGISTER, operations)
  assert.ok(outcome.is === 'linearizable')
  assert.deepEqual(
    outcome.order.map(({ value }) => value),
    [2, 1, 1, 3, 3]
  )
})

test('histories of a correct register are accepted, however many outcomes are unknown', () => {
  for (let seed = 0; seed < 50; seed++) {
    const random = new Random(seed)
    let stored = 0
    const begin = (moments: Interval): Access => ({ ...moments, writes: random.chance(0.5), value: moments.id + 1 })
    const operations = simulate(random, { clients: 5, each: 40 }, begin, (operation) => {
      if (operation.writes) stored = operation.value
      else operation.value = stored
    })
    assert.deepEqual(checkRegister('register', REGISTER, operations), [], `seed ${seed}`)
  }
})

test('a lost update, a stale read and a value from nowhere are found, with the shortest part that shows them', () => {
  const noise = Array.from({ length: 30 }, (_, i) => [
    write(100 + i, 3 * i, 3 * i + 1),
    read(100 + i, 3 * i + 1.5, 3 * i + 2)
  ])
  const writeOf = (value: number) => noise[value - 100]![0]!
  const lost = [write(1, 100, 101), read(129, 102, 103)]
  const stale = [write(1, 100, 101), write(2, 102, 103), read(1, 104, 105)]
  const back = [write(1, 100, 109), read(1, 101, 102), read(129, 103, 104)]
  const never = [read(7, 100, 101)]
  const early = [read(1, 100, 101), write(1, 102, 103)]
  const faults: [name: string, wrong: Access[], shown: Access[]][] = [
    ['a lost update', lost, [writeOf(129), ...lost]],
    ['a stale read', stale, stale],
    ['a read that goes back', back, [writeOf(129), ...back]],
    ['a value that was never written', never, never],
    ['a write that was read before it was called', early, early.slice(0, 1)]
  ]
  for (const [name, wrong, operations] of faults) {
    const expected = [{ object: 'register', rule: 'no order explains the results', operations }]
    assert.deepEqual(checkRegister('register', REGISTER, [...noise.flat(), ...wrong]), expected, name)
    assert.deepEqual(checkRegister('register', REGISTER, [...noise.flat(), ...wrong].reverse()), expected, name)
  }
})

test('an unknown write may take effect late or never, but not before its call and not twice', () => {
  const late = [write(1, 0, null), write(2, 5, 6), read(2, 7, 8), read(1, 100, 101)]
  assert.deepEqual(checkRegister('register', REGISTER, late), [])
  assert.deepEqual(checkRegister('register', REGISTER, late.slice(0, 3)), [])
  assert.deepEqual(checkRegister('register', REGISTER, [read(0, 0, null), write(1, 1, 2)]), [])
  assert.equal(checkRegister('register', REGISTER, [...late, read(2, 102, 103)]).length, 1)
  assert.equal(checkRegister('register', REGISTER, [read(1, 0, 1), write(1, 2, null)]).length, 1)
})

test('a search that takes too long is reported, and never taken for a correct history', () => {
  const concurrent = Array.from({ length: 12 }, (_, i) => write(i + 1, 0, 10))
  const operations = [...concurrent, read(99, 20, 21)]
  assert.equal(linearize(REGISTER, operations, 100).is, 'undecided')
  const rule = 'the search for an order was given up'
  assert.deepEqual(checkRegister('register', REGISTER, operations, 100), [{ object: 'register', rule, operations: [] }])
})

test('the search takes a state for each operation where operations that return first take effect first', () => {
  const concurrent = Array.from({ length: 10 }, (_, i) => write(10 - i, 0, 20 - i))
  const operations = [write(99, 0, null), write(98, 0, null), ...concurrent.reverse(), read(10, 21, 22)]
  assert.equal(linearize(REGISTER, operations, 11).is, 'linearizable')
  assert.equal(linearize(REGISTER, operations, 10).is, 'undecided')
})

test('the search takes no state twice, in whatever order its operations can lead there', () => {
  // A state is a set of operations that have taken effect: 2 to the power of 14, without the empty one.
  const operations = [...Array.from({ length: 14 }, () => read(0, 0, 10)), read(99, 11, 12)]
  assert.equal(linearize(REGISTER, operations, 2 ** 14 - 1).is, 'violation')
})

test('calls that failed do not make the search longer, unless a read has seen their write', () => {
  const failed = Array.from({ length: 30 }, (_, i) => [write(i + 1, 0, null), read(0, 0, null), read(50, 0, null)])
  const wrong = [read(0, 1, 2), write(50, 3, 4), read(51, 5, 6)]
  const [violation] = checkRegister('register', REGISTER, [...failed.flat(), ...wrong], 10)
  assert.deepEqual(violation?.operations, [wrong[2]])
})
