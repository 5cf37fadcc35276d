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

test('histories of correct settings are accepted, with copies that follow late', () => {
  for (let seed = 0; seed < 100; seed++) assert.deepEqual(checkSettings(simulated(seed)), [], `seed ${seed}`)
})

const wrongHistories: [name: string, operations: SettingsOperation[], rule: RegExp][] = [
  ['a version that was given twice', [set('x', 1, 0, 1), set('y', 1, 2, 3, b)], /1 was given twice/],
  ['versions in the wrong order', [set('x', 2, 0, 1), set('y', 1, 2, 3, b)], /number 2 had returned/],
  ['a version that no call has made', [set('x', 2, 0, 1)], /number 1 was counted/],
  ['a stale read', [set('x', 1, 0, 1), set('y', 2, 2, 3), read('x', 1, 4, 5)], /number 2 had returned/],
  ['a lost update', [set('x', 1, 0, 1), set('y', 2, 2, 3), read('x', 2, 4, 5)], /no order explains/],
  ['a value of another setting', [set('x', 1, 0, 1, b), read('x', 1, 2, 3)], /no order explains/],
  ['a copy that went back', [copy('x', 1, 4, 5), copy(null, 0, 6, 7), set('x', 1, 0, 1)], /the copy went back/],
  ['a copy without a write of its own worker', [set('x', 1, 0, 1), copy(null, 0, 2, 3)], /the copy went back/],
  ['a copy with an old value', [set('x', 1, 0, 1), set('y', 2, 2, 3), copy('x', 2, 4, 5)], /older than the version/],
  ['a copy without a value', [set('x', 1, 0, 1), copy(null, 1, 2, 3)], /older than the version/],
  ['a copy with a value of the future', [copy('x', 0, 0, 1), lost('x', 2)], /written later/],
  ['a copy with a value of a later version', [set('x', 1, 0, 9), copy('x', 0, 2, 3)], /has a later version/],
  ['a copy with a value from nowhere', [copy('z', 0, 0, 1)], /never written/],
  [
    'a copy that is behind although it is calm',
    [set('x', 1, 0, 1), copy(null, 0, 5000, 5001, { process: 'worker 2', isCalm: true })],
    /is behind/
  ]
]
for (const [name, operations, rule] of wrongHistories) {
  test(`${name} is found`, () => {
    const rules = checkSettings(operations).map((violation) => violation.rule)
    assert.ok(
      rules.some((one) => rule.test(one)),
      JSON.stringify(rules)
    )
  })
}

test('a write with an unknown outcome takes a version, late or never', () => {
  const operations = [lost('x', 0), set('y', 1, 1, 2), read('y', 1, 3, 4), set('z', 3, 5, 6, b), read('x', 3, 7, 8)]
  assert.deepEqual(checkSettings([...operations, copy('x', 3, 9, 10)]), [])
  assert.deepEqual(checkSettings(operations.slice(0, 3)), [])
  assert.equal(checkSettings([...operations, read('y', 3, 11, 12)]).length, 1)
})

test('a read of all settings at once counts as one read', () => {
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
