import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { temporaryFolder } from '../helpers/service.ts'
import { checkHistory } from '../history/check-history.ts'
import { describeOperations, describeViolation } from '../history/describe.ts'
import { checkRounds, type Round, readHistory, writeHistory } from '../history/history-file.ts'
import { nowMs, type Operation } from '../history/operations.ts'

const common = { process: 'client', invokedAt: 10, returnedAt: 20 }
/** One right operation of each model. */
const RIGHT: Operation[] = [
  { ...common, id: 1, model: 'counter', object: 'hits', kind: 'increment', number: 1 },
  { ...common, id: 2, model: 'settings', object: 'banner', kind: 'set', value: 'x', version: 1 },
  { ...common, id: 3, model: 'session', object: 's1', kind: 'put', key: 'a', value: 1 },
  { ...common, id: 4, model: 'lock', object: 'a', kind: 'hold', fence: 1 },
  { ...common, id: 5, model: 'every', object: 'tick', kind: 'hold', fence: 2, period: 100 },
  { ...common, id: 6, model: 'once', object: 'migrate', kind: 'call', result: 'ran' },
  { ...common, id: 7, model: 'once', object: 'other', kind: 'call', returnedAt: null }
]
/** Operations that contradict the right ones, one of each model. */
const WRONG: Operation[] = [
  { ...common, id: 11, model: 'counter', object: 'hits', kind: 'increment', number: 1 },
  { ...common, id: 12, model: 'settings', object: 'banner', kind: 'set', value: 'y', version: 1 },
  { ...common, id: 13, model: 'session', object: 's1', kind: 'get', key: 'a', value: 9 },
  { ...common, id: 14, model: 'lock', object: 'a', kind: 'hold', fence: 3 },
  { ...common, id: 15, model: 'every', object: 'tick', kind: 'hold', fence: 4, period: 100 },
  { ...common, id: 16, model: 'once', object: 'migrate', kind: 'call', result: 'ran' },
  { ...common, id: 17, model: 'once', object: 'never', kind: 'call', result: 'failed' }
]

/** Right operations of other objects, which would be wrong if they belonged to the same ones. */
const OTHERS: Operation[] = [
  { ...common, id: 21, model: 'counter', object: 'visits', kind: 'increment', number: 1 },
  {
    ...common,
    id: 22,
    model: 'session',
    object: 's2',
    kind: 'get',
    key: 'a',
    value: null,
    invokedAt: 30,
    returnedAt: 40
  },
  { ...common, id: 23, model: 'lock', object: 'tick', kind: 'hold', fence: 3 },
  { ...common, id: 24, model: 'once', object: 'third', kind: 'call', result: 'ran' }
]

test('a history of every kind of object is checked, each by its own rules', () => {
  assert.deepEqual(checkHistory(RIGHT), [])
  const found = WRONG.map((wrong) => checkHistory([...RIGHT, wrong]).map(({ object, rule }) => `${object}: ${rule}`))
  assert.deepEqual(found, [
    ['counter hits: the number 1 was given twice'],
    ['settings: the number 1 was given twice', 'setting banner: no order explains the results'],
    ['session s1, key a: no order explains the results'],
    ['lock a: two holders at a time'],
    ['every tick: two holders at a time'],
    ['once migrate: the function succeeded twice'],
    ['once never: the function never succeeded']
  ])
  const all = checkHistory([...RIGHT, ...WRONG])
  assert.deepEqual(
    all.map(({ object, rule }) => `${object}: ${rule}`),
    found.flat()
  )
})

test('objects of other names and of other kinds have nothing to do with each other', () => {
  assert.deepEqual(checkHistory([...RIGHT, ...OTHERS]), [])
})

test('objects of one name in two rounds have nothing to do with each other', () => {
  const rounds = [
    { name: 'round 1', operations: RIGHT },
    { name: 'round 2', operations: RIGHT }
  ]
  assert.deepEqual(checkRounds(rounds), [])
  const [violation] = checkRounds([...rounds, { name: 'round 3', operations: [...RIGHT, WRONG[0]!] }])
  assert.match(violation?.object ?? '', /^round 3: counter hits$/)
})

test('a history that was written is read again as it was', async (t) => {
  const file = join(temporaryFolder(t), 'history.jsonl')
  const rounds: Round[] = [
    { name: 'round 1', operations: RIGHT },
    { name: 'round 2', operations: WRONG }
  ]
  await writeHistory(file, rounds)
  assert.deepEqual(readHistory(file), rounds)
  await writeHistory(file, [])
  assert.deepEqual(readHistory(file), [])
})

test('a line that is no operation is refused by its number', (t) => {
  const file = join(tmpdir(), `history-${process.pid}.jsonl`)
  t.after(() => rmSync(file))
  const right = JSON.stringify({ round: 'round 1', ...RIGHT[0] })
  for (const wrong of ['{', '{}', '{"round":"round 1"}', 'null']) {
    writeFileSync(file, `${right}\n${wrong}\n`)
    assert.throws(() => readHistory(file), /line 2: not an operation/)
  }
})

test('the description of a history counts operations by kind, and unknown outcomes', () => {
  const lines = describeOperations(RIGHT).map((line) => line.trim().replace(/ +/g, ' '))
  assert.ok(lines.includes('once call 2 1 unknown'), lines.join('\n'))
  assert.equal(lines.at(-1), 'all 7 1 unknown')
})

test('the description of a violation shows each operation with its times', () => {
  const operations = [RIGHT[0]!, { ...RIGHT[6]!, invokedAt: 15 }]
  const lines = describeViolation({ object: 'counter hits', rule: 'a rule', operations })
  assert.equal(lines[0], 'counter hits: a rule')
  assert.match(lines[1] ?? '', /^ {2}0\.0 to 10\.0 ms, client: \{"object":"hits".*\(operation 1\)$/)
  assert.match(lines[2] ?? '', /^ {2}5\.0 to unknown ms/)
  assert.deepEqual(describeViolation({ object: 'x', rule: 'given up', operations: [] }), ['x: given up'])
})

test('the clock of histories runs forwards, in milliseconds', async () => {
  const read = () => ({ before: performance.now(), clock: nowMs(), after: performance.now() })
  const first = read()
  await new Promise((resolve) => setTimeout(resolve, 20))
  const last = read()
  const passed = last.clock - first.clock
  // The two clocks may differ by a rounding, and one of them is adjusted while it runs.
  assert.ok(passed > last.before - first.after - 1, `${passed}`)
  assert.ok(passed < last.after - first.before + 1, `${passed}`)
})
