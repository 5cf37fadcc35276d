import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Random } from '../helpers/random.ts'
import { hasReturned, isBefore, type SessionOperation } from '../history/operations.ts'
import { checkSession } from '../history/sessions.ts'
import { simulate } from '../history/simulate.ts'

let lastId = 0
const operation = (
  [from, to]: [number, number | null],
  fields: Pick<SessionOperation, 'kind' | 'key'> & Partial<SessionOperation>
): SessionOperation => ({
  id: lastId++,
  process: 'client',
  model: 'session',
  object: 's1',
  invokedAt: from,
  returnedAt: to,
  ...fields
})
const put = (value: number, from: number, to: number | null, key = 'a') =>
  operation([from, to], { kind: 'put', key, value })
const get = (value: number | null, from: number, to: number, key = 'a') =>
  operation([from, to], { kind: 'get', key, value })
const gone = (from: number, to: number) => operation([from, to], { kind: 'get', key: null, isGone: true })
const strange = (value: number, from: number, to: number) =>
  operation([from, to], { kind: 'put', key: 'a', value, isGone: true })
const signOut = (from: number, to: number | null) => operation([from, to], { kind: 'sign-out', key: null })

/** A session with three keys that ends in the middle. */
function simulated(seed: number): SessionOperation[] {
  const random = new Random(seed)
  const stored = new Map<string, number>()
  let isEnded = false
  const begin = (moments: Pick<SessionOperation, 'id' | 'process' | 'invokedAt' | 'returnedAt'>): SessionOperation => {
    const key = random.chance(0.5) ? 'a' : 'b'
    const common = { ...moments, model: 'session', object: 's1' } as const
    if (random.chance(0.01)) return { ...common, kind: 'sign-out', key: null }
    return random.chance(0.5) ? { ...common, kind: 'put', key, value: moments.id } : { ...common, kind: 'get', key }
  }
  return simulate(random, { clients: 6, each: 40 }, begin, (one) => {
    if (one.kind === 'sign-out') isEnded = true
    else if (isEnded) {
      one.isGone = true
      if (one.kind === 'get') one.key = null
    } else if (one.kind === 'put') stored.set(one.key!, one.value!)
    else one.value = stored.get(one.key!) ?? null
  })
}

test('histories of a correct session are accepted, with unknown outcomes and sign-outs', () => {
  let ended = 0
  for (let seed = 0; seed < 60; seed++) {
    const operations = simulated(seed)
    if (operations.some(({ isGone }) => isGone)) ended++
    assert.deepEqual(checkSession(operations), [], `seed ${seed}`)
  }
  assert.ok(ended > 20 && ended < 60, `${ended} of the sessions have ended`)
})

/** The operations that are shown are given by their positions; one violation for each of the keys. */
const wrongHistories: [name: string, operations: SessionOperation[], shown: number[], keys?: string[]][] = [
  ['a lost update', [put(1, 0, 1), get(null, 2, 3)], [0, 1]],
  ['a stale read', [put(1, 0, 1), get(1, 1, 2), put(2, 2, 3), get(1, 4, 5)], [0, 2, 3]],
  ['a stale read after a lost logout', [put(1, 0, 1), put(2, 2, 3), signOut(3, null), get(1, 4, 5)], [0, 1, 3]],
  ['a read that goes back', [put(1, 0, 1), put(2, 2, null), get(2, 3, 4), get(1, 5, 6)], [0, 1, 2, 3]],
  ['a key that another key overwrote', [put(1, 0, 1), put(2, 2, 3, 'b'), get(2, 4, 5)], [2]],
  ['a session that is back after a logout', [signOut(0, 1), get(null, 2, 3)], [0, 1]],
  ['a value that is back after a logout', [put(1, 0, 1), signOut(2, 3), get(1, 4, 5)], [0, 1, 2]],
  ['a write that brings a session back', [signOut(0, 1), put(1, 2, 3), get(1, 4, 5)], [0, 1, 2]],
  ['a session that is gone and then back', [signOut(0, null), gone(1, 2), get(null, 3, 4)], [0, 1, 2]],
  ['a session that is gone without a logout', [put(1, 0, 1), gone(2, 3)], [1], ['b', 'c', 'a']],
  ['a session that is gone before the logout', [gone(0, 1), signOut(2, 3), get(null, 0, 1)], [0], ['b', 'c', 'a']],
  ['a visitor who became a stranger without a logout', [strange(1, 0, 1)], [0]]
]
for (const [name, operations, shown, keys = ['a']] of wrongHistories) {
  test(`${name} is found, and shown with nothing else`, () => {
    const noise = [put(50, -20, -19, 'b'), get(50, -18, -17, 'b'), get(null, -16, -15, 'c'), put(51, -14, null, 'b')]
    const rule = 'no order explains the results'
    const expected = keys.map((key) => ({
      object: `session s1, key ${key}`,
      rule,
      operations: shown.map((i) => operations[i]!)
    }))
    assert.deepEqual(checkSession([...noise, ...operations]), expected)
  })
}

test('a session of which no key was used is checked too', () => {
  const early = gone(0, 1)
  const expected = { object: 'session s1', rule: 'no order explains the results', operations: [early] }
  assert.deepEqual(checkSession([early, signOut(2, 3), gone(4, 5)]), [expected])
  assert.deepEqual(checkSession([signOut(2, 3), gone(4, 5)]), [])
  assert.deepEqual(checkSession([]), [])
})

test('a logout whose outcome is unknown may have ended the session, or may end it later', () => {
  assert.deepEqual(checkSession([put(1, 0, 1), signOut(2, null), get(1, 3, 4), gone(5, 6), put(2, 7, 8)]), [])
  assert.deepEqual(checkSession([put(1, 0, 1), signOut(2, null), get(1, 3, 4)]), [])
  assert.deepEqual(checkSession([put(1, 0, 1), signOut(2, null), strange(2, 3, 4)]), [])
  assert.deepEqual(checkSession([put(1, 0, 1), signOut(2, 9), strange(2, 3, 4), gone(5, 6)]), [])
})

test('stale reads that are planted in long correct histories are found', () => {
  let planted = 0
  for (let seed = 0; seed < 40; seed++) {
    const operations = simulated(seed)
    const read = operations.findLast((one) => one.kind === 'get' && !one.isGone && hasReturned(one))
    const puts = operations.filter(({ kind, key, isGone }) => kind === 'put' && key === read?.key && !isGone)
    // Both puts returned, one after the other, before the read was called.
    const newer = puts.find((put) => read && isBefore(put, read) && puts.some((older) => isBefore(older, put)))
    const older = puts.find((put) => newer && isBefore(put, newer))
    if (!read || !older) continue
    planted++
    read.value = older.value!
    assert.ok(checkSession(operations).length > 0, `seed ${seed}`)
  }
  assert.ok(planted > 20, `${planted}`)
})
