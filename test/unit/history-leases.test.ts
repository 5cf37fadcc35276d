import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Random } from '../helpers/random.ts'
import { checkAllDone, checkHolds, checkOnce } from '../history/leases.ts'
import { groupBy, type HoldOperation, type OnceOperation } from '../history/operations.ts'
import { simulate } from '../history/simulate.ts'

let lastId = 0
const hold = (fence: number, from: number, to: number, more: Partial<HoldOperation> = {}): HoldOperation => ({
  id: lastId++,
  process: 'worker',
  model: 'lock',
  object: 'a',
  kind: 'hold',
  fence,
  invokedAt: from,
  returnedAt: to,
  ...more
})
const run = (period: number, fence: number, from: number, to: number) =>
  hold(fence, from, to, { model: 'every', object: 'tick', period })
const call = (result: OnceOperation['result'], from: number, to: number | null): OnceOperation => ({
  id: lastId++,
  process: 'worker',
  model: 'once',
  object: 'migrate',
  kind: 'call',
  invokedAt: from,
  returnedAt: to,
  ...(to !== null && { result: result! })
})

const NOT_HIGHER = 'the fence of a later holder is not higher'

/** Holders of three locks, and runs of a job, one after the other. */
function simulatedHolds(seed: number): HoldOperation[] {
  const random = new Random(seed)
  const freeAt = new Map<string, number>()
  let fence = 0
  let time = 0
  return Array.from({ length: 200 }, () => {
    time += random.next() * 3
    const object = `lock-${random.between(1, 3)}`
    const askedAt = time
    time = Math.max(time, freeAt.get(object) ?? 0)
    const from = time + random.next()
    const to = from + random.next() * 10
    freeAt.set(object, to)
    fence += random.between(1, 5)
    if (object !== 'lock-3') return hold(fence, from, to, { object, askedAt })
    return hold(fence, from, to, { object, model: 'every', period: 100 * fence })
  })
}

/** Callers of `once` with a few names. Some calls fail or are never answered; a work that may have been done is done again. */
function simulatedCalls(seed: number): OnceOperation[] {
  const random = new Random(seed)
  const done = new Set<string>()
  const begin = (moments: Pick<OnceOperation, 'id' | 'process' | 'invokedAt' | 'returnedAt'>): OnceOperation => ({
    ...moments,
    model: 'once',
    object: `name-${random.between(1, 20)}`,
    kind: 'call'
  })
  return simulate(random, { clients: 5, each: 30 }, begin, (one) => {
    one.result = done.has(one.object) ? 'refused' : random.chance(0.2) ? 'failed' : 'ran'
    if (one.result === 'ran') done.add(one.object)
  })
}

test('histories of correct locks and jobs are accepted, recorded in any order', () => {
  for (let seed = 0; seed < 200; seed++) {
    assert.deepEqual(checkHolds(simulatedHolds(seed)), [], `seed ${seed}`)
    assert.deepEqual(checkHolds(simulatedHolds(seed).reverse()), [], `seed ${seed}, reversed`)
  }
  assert.deepEqual(checkHolds([]), [])
})

/** The wrong holds are in the order in which they are shown. */
const wrongHolds: [name: string, holds: HoldOperation[], object: string, rule: string][] = [
  ['two lock holders at a time', [hold(1, 0, 10), hold(2, 9, 12)], 'lock a', 'two holders at a time'],
  ['a holder within the time of another one', [hold(1, 0, 10), hold(2, 3, 4)], 'lock a', 'two holders at a time'],
  ['two holders from the same moment on', [hold(1, 0, 4), hold(2, 0, 10)], 'lock a', 'two holders at a time'],
  ['a fence that goes backwards', [hold(2, 0, 1), hold(1, 2, 3)], 'lock a', NOT_HIGHER],
  ['a fence that was given twice', [hold(1, 0, 1), hold(1, 2, 3)], 'lock a', NOT_HIGHER],
  [
    'a fence that goes backwards from one lock to another',
    [hold(5, 0, 9), hold(4, 3, 4, { object: 'b', askedAt: 1 })],
    'fences',
    'a later grant has no higher fence'
  ],
  [
    'a fence that two locks were given one after the other',
    [hold(5, 0, 9), hold(5, 3, 4, { object: 'b', askedAt: 1 })],
    'fences',
    'a later grant has no higher fence'
  ],
  ['a period with two runs', [run(100, 1, 0, 1), run(100, 2, 2, 3)], 'every tick', 'two runs in one period'],
  ['a run of an earlier period', [run(200, 1, 0, 1), run(100, 2, 2, 3)], 'every tick', 'a run for an earlier period'],
  ['a job that runs twice at a time', [run(100, 1, 0, 5), run(200, 2, 4, 6)], 'every tick', 'two holders at a time']
]
for (const [name, operations, object, rule] of wrongHolds) {
  test(`${name} is found, and shown with nothing else`, () => {
    const others = [hold(0.5, -20, -18, { object: 'c' }), hold(99, 50, 51, { object: 'c', askedAt: 40 })]
    assert.deepEqual(checkHolds([...others, ...operations]), [{ object, rule, operations }])
    assert.deepEqual(checkHolds([...others, ...operations.toReversed()]), [{ object, rule, operations }])
  })
}

test('a lock may be held from the moment on at which its last holder, even one of a moment, let it go', () => {
  assert.deepEqual(checkHolds([hold(1, 0, 5), hold(2, 5, 6)]), [])
  assert.deepEqual(checkHolds([hold(2, 0, 5), hold(1, 0, 0)]), [])
})

test('the fences of locks that were asked for before the other one was granted may have any order', () => {
  assert.deepEqual(checkHolds([hold(5, 3, 9), hold(4, 4, 6, { object: 'b', askedAt: 3 })]), [])
  assert.deepEqual(checkHolds([hold(5, 3, 3, { askedAt: 3 })]), [])
})

test('a fence is compared with the highest one that was granted before, not with the last one', () => {
  const highest = hold(5, 0, 9)
  const late = hold(4, 7, 8, { object: 'c', askedAt: 6 })
  const operations = [highest, hold(3, 1, 5, { object: 'b', askedAt: 0 }), late]
  assert.deepEqual(checkHolds(operations)[0]?.operations, [highest, late])
})

test('the fence of a run is not compared with those of locks, as it is not recorded when the run was asked for', () => {
  const locks = [hold(5, 0, 1), hold(6, 3, 4, { object: 'b', askedAt: 2 })]
  assert.deepEqual(checkHolds([...locks, run(100, 4, 5, 6)]), [])
})

test('planted overlaps and swapped fences in correct histories are found', () => {
  for (let seed = 0; seed < 100; seed++) {
    const random = new Random(seed)
    const locks = simulatedHolds(seed).filter(({ object }) => object === 'lock-1')
    const at = random.between(1, locks.length - 1)
    const [before, after] = [locks[at - 1]!, locks[at]!]
    const overlapping = locks.with(at - 1, { ...before, returnedAt: (after.invokedAt + after.returnedAt) / 2 })
    assert.match(checkHolds(overlapping)[0]?.rule ?? '', /two holders/, `seed ${seed}`)
    const swapped = locks.with(at - 1, { ...before, fence: after.fence }).with(at, { ...after, fence: before.fence })
    assert.match(checkHolds(swapped)[0]?.rule ?? '', /not higher/, `seed ${seed}`)
  }
})

test('histories of a correct once() are accepted, with failures and unknown outcomes', () => {
  for (let seed = 0; seed < 200; seed++) {
    for (const calls of groupBy(simulatedCalls(seed), ({ object }) => object).values()) {
      assert.deepEqual(checkOnce(calls), [], `seed ${seed}`)
    }
  }
  assert.deepEqual(checkOnce([]), [])
})

test('a function of once() that succeeds twice is found', () => {
  const [first, second] = [call('ran', 0, 1), call('ran', 4, 5)]
  const expected = { object: 'once migrate', rule: 'the function succeeded twice', operations: [first, second] }
  assert.deepEqual(checkOnce([second, call('refused', 2, 3), first]), [expected])
})

test('a refusal by once() is right only if another call may run or have run', () => {
  assert.deepEqual(checkOnce([call('refused', 0, 5), call('ran', 4, 9)]), [])
  assert.deepEqual(checkOnce([call('refused', 0, 5), call('failed', 4, 9)]), [])
  assert.deepEqual(checkOnce([call(undefined, 0, null), call('refused', 3, 4)]), [])
  const refused = call('refused', 0, 1)
  const rule = 'a call was refused, and no other one ran'
  for (const others of [[], [call('refused', 0, 1)], [call('ran', 2, 3)]]) {
    assert.deepEqual(checkOnce([refused, ...others]), [{ object: 'once migrate', rule, operations: [refused] }])
  }
})

test('work that never succeeded is found at the end', () => {
  const never = [call('failed', 0, 1), call('refused', 2, 3)]
  const expected = { object: 'once migrate', rule: 'the function never succeeded', operations: never }
  assert.deepEqual(checkAllDone(never), [expected])
  assert.deepEqual(checkAllDone([...never, call('ran', 4, 5)]), [])
  assert.deepEqual(checkAllDone([...never, call(undefined, 4, null)]), [])
  const other = { ...call('ran', 4, 5), object: 'other' }
  assert.deepEqual(checkAllDone([...never, other]), [expected])
})
