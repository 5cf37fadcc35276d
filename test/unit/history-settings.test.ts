import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Random } from '../helpers/random.ts'
import { endOf, type SettingsOperation } from '../history/operations.ts'
import { checkSettings } from '../history/settings.ts'
import { simulate } from '../history/simulate.ts'

let lastId = 0
const operation = (
  kind: SettingsOperation['kind'],
  value: string | null,
  version: number | undefined,
  [from, to]: [number, number | null],
  more: Partial<SettingsOperation> = {}
): SettingsOperation => ({
  id: lastId++,
  process: 'worker 1',
  model: 'settings',
  object: 'banner',
  kind,
  value,
  invokedAt: from,
  returnedAt: to,
  ...(version !== undefined && { version }),
  ...more
})
const set = (value: string, version: number, from: number, to: number, more: Partial<SettingsOperation> = {}) =>
  operation('set', value, version, [from, to], more)
const lost = (value: string, from: number) => operation('set', value, undefined, [from, null])
const read = (value: string | null, version: number, from: number, to: number, more: Partial<SettingsOperation> = {}) =>
  operation('read', value, version, [from, to], { process: 'client', ...more })
const copy = (value: string | null, version: number, from: number, to: number, more: Partial<SettingsOperation> = {}) =>
  operation('copy', value, version, [from, to], more)
const b = { object: 'b' }

/** Settings of two names, and the copies of four workers that follow with a delay. */
function simulated(seed: number): SettingsOperation[] {
  const random = new Random(seed)
  const names = ['banner', 'b']
  let version = 0
  const stored = new Map<string, string>()
  const copies = new Map<string, { version: number; values: Map<string, string> }>()
  const update = (process: string) => {
    const fresh = { version, values: new Map(stored) }
    copies.set(process, fresh)
    return fresh
  }
  return simulate<SettingsOperation>(
    random,
    { clients: 4, each: 40 },
    (moments) => {
      const kind = random.chance(0.5) ? 'set' : random.chance(0.5) ? 'read' : 'copy'
      const object = names[random.between(0, 1)]!
      return { ...moments, model: 'settings', object, kind, value: kind === 'set' ? `${moments.id}` : null }
    },
    (one) => {
      if (one.kind === 'set') {
        stored.set(one.object, one.value!)
        one.version = ++version
        if (one.returnedAt !== null) update(one.process)
        return
      }
      const known = copies.get(one.process)
      const seen = one.kind === 'copy' && known && random.chance(0.5) ? known : update(one.process)
      one.version = seen.version
      one.value = seen.values.get(one.object) ?? null
    }
  )
}

test('histories of correct settings are accepted, recorded in any order, with copies that follow late', () => {
  for (let seed = 0; seed < 60; seed++) {
    assert.deepEqual(checkSettings(simulated(seed)), [], `seed ${seed}`)
    assert.deepEqual(checkSettings(simulated(seed).reverse()), [], `seed ${seed}, reversed`)
  }
})

type Shown = [object: string, rule: string, positions: number[]]
const NO_ORDER = 'no order explains the results'
const OLDER = 'the value is older than the version'
const [one, two] = ['setting banner in worker 1', 'setting banner in worker 2']
const w2 = { process: 'worker 2' }

const wrongHistories: [name: string, operations: SettingsOperation[], ...violations: Shown[]][] = [
  [
    'a version that was given twice',
    [set('x', 1, 0, 1), set('y', 1, 2, 3, b)],
    ['settings', 'the number 1 was given twice', [0, 1]]
  ],
  [
    'a version that was given twice by writes of one setting',
    [set('x', 1, 0, 1), set('y', 1, 2, 3)],
    ['settings', 'the number 1 was given twice', [0, 1]],
    ['setting banner', NO_ORDER, [0, 1]]
  ],
  [
    'versions in the wrong order',
    [set('x', 2, 0, 1), set('y', 1, 2, 3, b)],
    ['settings', 'number 2 had returned when number 1 was called', [0, 1]]
  ],
  [
    'a version that no call has made',
    [set('x', 2, 0, 1)],
    ['settings', 'the number 1 was counted, and no call can have counted it', [0]]
  ],
  [
    'a stale read',
    [set('x', 1, 0, 1), set('y', 2, 2, 3), read('x', 1, 4, 5)],
    ['settings', 'number 2 had returned when a read of 1 was called', [1, 2]],
    ['setting banner', NO_ORDER, [0, 1, 2]]
  ],
  [
    'a stale version after a right read of the same client',
    [set('x', 1, 0, 1), read('x', 1, 2, 3), set('y', 2, 4, 5, b), read('x', 1, 6, 7)],
    ['settings', 'number 2 had returned when a read of 1 was called', [2, 3]]
  ],
  [
    'a stale version at the moment of a right read of another client',
    [set('x', 1, 0, 1), set('y', 2, 2, 3, b), read('x', 2, 4, 5), read('x', 1, 4, 5, { process: 'client 2' })],
    ['settings', 'number 2 had returned when a read of 1 was called', [1, 3]]
  ],
  [
    'a lost update',
    [set('x', 1, 0, 1), read('x', 1, 1.5, 1.6), set('y', 2, 2, 3), read('x', 2, 4, 5), lost('z', 3)],
    ['setting banner', NO_ORDER, [0, 2, 3]]
  ],
  [
    'a new value with the version of an earlier one',
    [set('x', 1, 0, 1), lost('z', 2), read('z', 1, 3, 4)],
    ['setting banner', NO_ORDER, [0, 1, 2]]
  ],
  ['a value of another setting', [set('x', 1, 0, 1, b), read('x', 1, 2, 3)], ['setting banner', NO_ORDER, [1]]],
  [
    'a copy that went back',
    [copy('x', 1, 4, 5, w2), copy(null, 0, 6, 7, w2), set('x', 1, 0, 1)],
    ['settings of worker 2', 'the copy went back', [0, 1]]
  ],
  [
    'a copy that went back behind the newest of two copies of one time',
    [set('x', 1, 0, 1), set('y', 2, 2, 3), copy('y', 2, 4, 5, w2), copy('x', 1, 4, 6, w2), copy('x', 1, 7, 8, w2)],
    ['settings of worker 2', 'the copy went back', [2, 4]]
  ],
  [
    'a copy that went back after it had followed',
    [set('x', 1, 0, 1), set('y', 2, 2, 3), copy('x', 1, 2, 2.5, w2), copy('y', 2, 4, 5, w2), copy('x', 1, 6, 7, w2)],
    ['settings of worker 2', 'the copy went back', [3, 4]]
  ],
  [
    'a copy that went back, recorded in another order',
    [copy('x', 1, 6, 7, w2), copy('y', 2, 4, 5, w2), set('y', 2, 2, 3), set('x', 1, 0, 1)],
    ['settings of worker 2', 'the copy went back', [1, 0]]
  ],
  [
    'a copy without a write of its own worker',
    [set('x', 1, 0, 1), copy(null, 0, 2, 3)],
    ['settings of worker 1', 'the copy went back', [0, 1]]
  ],
  ['a copy with an old value', [set('x', 1, 0, 1), set('y', 2, 2, 3), copy('x', 2, 4, 5)], [one, OLDER, [1, 2]]],
  [
    'a copy with an old value, of writes recorded in another order',
    [set('y', 2, 2, 3), lost('w', 5), set('x', 1, 0, 1), set('z', 3, 4, 5), copy('x', 2, 4, 5, w2)],
    [two, OLDER, [0, 4]]
  ],
  ['a copy without a value', [set('x', 1, 0, 1), copy(null, 1, 2, 3)], [one, OLDER, [0, 1]]],
  [
    'a copy with a value of the future',
    [copy('x', 0, 0, 1), lost('x', 2)],
    [one, 'the value was written later', [0, 1]]
  ],
  [
    'a copy with a value of a later version',
    [set('x', 1, 0, 9), copy('x', 0, 2, 3)],
    [one, 'the value has a later version', [0, 1]]
  ],
  ['a copy with a value from nowhere', [copy('z', 0, 0, 1)], [one, 'this value was never written', [0]]],
  [
    'a copy that is behind although it is calm',
    [set('x', 1, 0, 1), set('y', 2, 2, 3), copy(null, 0, 5000, 5001, { ...w2, isCalm: true })],
    [two, 'the copy is behind', [1, 2]]
  ]
]
for (const [name, operations, ...violations] of wrongHistories) {
  test(`${name} is found, and shown with nothing else`, () => {
    const expected = violations.map(([object, rule, shown]) => ({
      object,
      rule,
      operations: shown.map((i) => operations[i]!)
    }))
    assert.deepEqual(checkSettings(operations), expected)
  })
}

test('a copy may lack writes of other workers, and calm ones only writes that had not returned', () => {
  const write = set('x', 1, 0, 9)
  assert.deepEqual(checkSettings([write, copy(null, 0, 10, 11, w2)]), [])
  assert.deepEqual(checkSettings([write, copy(null, 0, 9, 11, { ...w2, isCalm: true })]), [])
  assert.deepEqual(checkSettings([write, copy('x', 1, 10, 11, { ...w2, isCalm: true })]), [])
})

test('what a client read does not bind the copy of the worker that asked Redis', () => {
  const operations = [set('x', 1, 0, 1), read('x', 1, 2, 3, w2), copy(null, 0, 4, 5, w2)]
  assert.deepEqual(checkSettings(operations), [])
})

test('a copy and a read without an answer prove nothing', () => {
  const unanswered = [operation('copy', 'z', undefined, [0, null]), operation('read', null, undefined, [0, null])]
  assert.deepEqual(checkSettings([...unanswered, set('x', 1, 1, 2), copy('x', 1, 3, 4)]), [])
})

test('a write with an unknown outcome takes a version, late or never', () => {
  const operations = [lost('x', 0), set('y', 1, 1, 2), read('y', 1, 3, 4), set('z', 3, 5, 6, b), read('x', 3, 7, 8)]
  assert.deepEqual(checkSettings([...operations, copy('x', 3, 9, 10)]), [])
  assert.deepEqual(checkSettings(operations.slice(0, 3)), [])
  assert.equal(checkSettings([...operations, read('y', 3, 11, 12)]).length, 1)
})

test('writes with unknown outcomes may take effect in another order than that of their calls', () => {
  for (const [first, second] of [
    ['y', 'z'],
    ['z', 'y']
  ] as const) {
    const writes = [lost(first, 0), lost(second, 1), { ...lost('w', 1), ...b }]
    assert.deepEqual(checkSettings([...writes, read('y', 2, 2, 3), read('z', 3, 4, 5)]), [])
  }
})

test('all settings may be read at once', () => {
  const both = [read('x', 1, 2, 3), read(null, 1, 2, 3, b)]
  assert.deepEqual(checkSettings([set('x', 1, 0, 1), ...both]), [])
})

test('planted lost updates and stale reads in long correct histories are found', () => {
  let planted = 0
  for (let seed = 0; seed < 40; seed++) {
    const operations = simulated(seed)
    const read = operations.filter(({ kind, returnedAt }) => kind === 'read' && returnedAt !== null).at(-1)
    const older = operations.filter((one) => one.kind === 'set' && one.object === read?.object && endOf(one) < 60)
    if (!read || older.length < 2 || older[0]!.value === read.value) continue
    planted++
    read.value = older[0]!.value
    assert.ok(checkSettings(operations).length > 0, `seed ${seed}`)
  }
  assert.ok(planted > 20, `${planted}`)
})
