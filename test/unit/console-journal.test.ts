import assert from 'node:assert/strict'
import { test } from 'node:test'
import { consoleModule } from '../helpers/page-module.ts'

const { JournalEntries, filterItems, levelOf, titleOf } = await consoleModule('model/journal-entries.js')

const at = (second: number) => new Date(Date.UTC(2026, 0, 31, 12, 0, second)).toISOString()
const received = (second: number, command: string, fields = {}) => ({
  at: at(second),
  event: 'command received',
  command,
  args: {},
  who: 'token a',
  ...fields
})
const answered = (second: number, command: string, fields = {}) => ({
  ...received(second, command),
  event: 'command answered',
  ok: true,
  ms: 1000,
  ...fields
})
interface Item {
  at: string
  entry: { event: string; command?: string; at: string }
  answer?: { at: string; ok: boolean }
}
const itemsOf = (...entries: object[]): Item[] => {
  const journal = new JournalEntries(100)
  for (const entry of entries) journal.add(entry)
  return journal.items
}

test('a command and its answer are one item, whatever came between them', () => {
  const items = itemsOf(received(1, 'reload'), { at: at(2), event: 'ready', slot: 0 }, answered(3, 'reload'))
  assert.deepEqual(
    items.map(({ entry, answer }) => [entry.event, answer?.at]),
    [
      ['ready', undefined],
      ['command received', at(3)]
    ]
  )
})

test('answers belong to the oldest question of the same caller with the same arguments', () => {
  const items = itemsOf(
    received(1, 'recycle', { args: { slot: 0 } }),
    received(2, 'recycle', { args: { slot: 1 } }),
    received(3, 'recycle', { args: { slot: 1 } }),
    answered(4, 'recycle', { args: { slot: 1 } }),
    answered(5, 'recycle', { args: { slot: 0 } })
  )
  assert.deepEqual(
    items.map(({ entry, answer }) => [entry.at, answer?.at]),
    [
      [at(3), undefined],
      [at(2), at(4)],
      [at(1), at(5)]
    ]
  )
})

test('an answer whose question is not known is an item of its own', () => {
  assert.equal(itemsOf(answered(1, 'stop'))[0]!.entry.event, 'command answered')
})

test('entries may come in any order and twice, and the oldest are dropped', () => {
  const journal = new JournalEntries(2)
  const entries = [5, 1, 3].map((second) => ({ at: at(second), event: `e${second}` }))
  assert.deepEqual(
    entries.map((entry) => journal.add(entry)),
    ['newest', 'older', 'older']
  )
  assert.equal(journal.add(entries[0]), 'known')
  assert.deepEqual(
    journal.items.map(({ entry }: Item) => entry.event),
    ['e5', 'e3']
  )
})

const LEVELS: [entry: object, level: string][] = [
  [{ event: 'cannot boot' }, 'bad'],
  [{ event: 'exited', why: 'SIGKILL' }, 'bad'],
  [{ event: 'exited', why: 'exit code 0' }, 'plain'],
  [{ event: 'reload failed' }, 'bad'],
  [{ event: 'reload done' }, 'good'],
  [{ event: 'trial ends', why: 'worse after 3 s' }, 'bad'],
  [{ event: 'trial ends', why: 'no worse after 3 s' }, 'good'],
  [{ event: 'trial ends', why: 'undecided after 3 s' }, 'plain'],
  [{ event: 'drained', why: '1 of 2 connections transferred; cut: 1 upload' }, 'warn'],
  [{ event: 'command answered', ok: false }, 'bad'],
  [{ event: 'command answered', ok: true }, 'good'],
  [{ event: 'starts' }, 'plain']
]
test('failures, warnings and successes are told apart', () => {
  for (const [entry, level] of LEVELS) assert.equal(levelOf(entry), level, JSON.stringify(entry))
})

test('a line names the command with its arguments, or the slot', () => {
  assert.equal(titleOf({ event: 'command received', command: 'scale', args: { workers: 3 } }), 'scale workers 3')
  assert.equal(titleOf({ event: 'hangs', slot: 2 }), 'Slot 2 hangs')
  assert.equal(titleOf({ event: 'reload begins' }), 'reload begins')
})

test('the filter knows kinds, failures, words and a time', () => {
  const items = itemsOf(
    { at: at(1), event: 'start' },
    { at: at(2), event: 'exited', slot: 1, why: 'SIGKILL' },
    { at: at(3), event: 'reload begins' },
    received(4, 'scale'),
    answered(5, 'scale', { ok: false, why: 'must be a number' })
  )
  const shown = (filter: object) => filterItems(items, filter).map(({ entry }: Item) => entry.event)
  assert.equal(shown({}).length, 4)
  assert.deepEqual(shown({ kind: 'workers' }), ['exited'])
  assert.deepEqual(shown({ kind: 'rollouts' }), ['reload begins'])
  assert.deepEqual(shown({ kind: 'service' }), ['start'])
  assert.deepEqual(shown({ kind: 'commands' }), ['command received'])
  assert.deepEqual(shown({ kind: 'failures' }), ['command received', 'exited'])
  assert.deepEqual(shown({ text: 'must NUMBER' }), ['command received'], 'words of the answer count too')
  assert.deepEqual(shown({ since: Date.parse(at(3)) }), ['command received', 'reload begins'])
  assert.deepEqual(shown({ text: 'no such word' }), [])
})
