import assert from 'node:assert/strict'
import { appendFileSync, mkdirSync, readFileSync, statSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { oldestOf, readLatest } from '../../src/admin/commands/history/read-latest.ts'
import { JournalFile } from '../../src/admin/journal-file.ts'
import type { Logger } from '../../src/common/log.ts'
import { temporaryFolder } from '../helpers/service.ts'

const pathIn = (t: TestContext) => join(temporaryFolder(t), 'journal.jsonl')
const whys = (journal: JournalFile, filter = {}) => journal.read(filter).map((entry) => entry.why)

describe('the journal file', () => {
  test('keeps entries with their time, the newest last, readable by its owner only', (t) => {
    const path = pathIn(t)
    const before = Date.now()
    const journal = new JournalFile(path)
    journal.record({ event: 'fork', slot: 0, pid: 7, generation: 2, why: 'first start' })
    journal.record({ event: 'exited', slot: 0, pid: 7, why: 'SIGSEGV' })
    const [fork, exit] = journal.read()
    const { at, ...rest } = fork!
    assert.ok(Date.parse(at) >= before && Date.parse(at) <= Date.now(), at)
    assert.deepEqual(rest, { event: 'fork', slot: 0, pid: 7, generation: 2, why: 'first start' })
    assert.equal(exit?.why, 'SIGSEGV')
    assert.equal(statSync(path).mode & 0o777, 0o600)
    assert.deepEqual(new JournalFile(path).read(), journal.read(), 'the next primary reads it too')
  })

  test('reads the entries of one slot, and the newest few', (t) => {
    const journal = new JournalFile(pathIn(t))
    for (let i = 0; i < 6; i++) journal.record({ event: 'fork', slot: i % 2, why: `${i}` })
    assert.deepEqual(whys(journal, { slot: 1 }), ['1', '3', '5'])
    assert.deepEqual(whys(journal, { limit: 2 }), ['4', '5'])
    assert.deepEqual(whys(journal, { slot: 0, limit: 2 }), ['2', '4'])
    assert.deepEqual(new JournalFile(pathIn(t)).read(), [], 'nothing recorded, nothing to tell')
  })

  test('is bounded: a full file becomes the older one, and both are read', (t) => {
    const path = pathIn(t)
    const journal = new JournalFile(path, 1000)
    for (let i = 0; i < 100; i++) journal.record({ event: 'fork', why: `${i}` })
    const older = path.replace('.jsonl', '.1.jsonl')
    for (const file of [path, older]) assert.ok(statSync(file).size <= 1000, `${file} has ${statSync(file).size} bytes`)
    const kept = whys(journal).map(Number)
    assert.ok(kept.length > 12 && kept.length < 40, `${kept.length} entries`)
    assert.deepEqual(
      kept,
      Array.from({ length: kept.length }, (_, i) => 100 - kept.length + i)
    )
  })

  test('skips a line torn by a crash, and keeps the next one', (t) => {
    const path = pathIn(t)
    new JournalFile(path).record({ event: 'fork', why: 'before' })
    appendFileSync(path, '{"at":"2026-01-01T00:00:00.000Z","event":"fo')
    const journal = new JournalFile(path)
    assert.deepEqual(whys(journal), ['before'])
    journal.record({ event: 'fork', why: 'after' })
    journal.record({ event: 'fork', why: 'later' })
    assert.deepEqual(whys(journal), ['before', 'after', 'later'])
    assert.equal(readFileSync(path, 'utf8').split('\n').length, 5, 'a line each, and an empty rest')
  })

  test('skips lines that are no entries', (t) => {
    const path = pathIn(t)
    writeFileSync(path, 'null\n42\n{"at":1,"event":"fork"}\n{"at":"2026"}\n{"at":"2026","event":"kept"}\n')
    assert.deepEqual(
      new JournalFile(path).read().map((entry) => entry.event),
      ['kept']
    )
  })

  test('logs a full disk once, never throws, and continues when there is space', (t) => {
    const folder = join(temporaryFolder(t), 'folder')
    symlinkSync('/dev', folder)
    const path = join(folder, 'full')
    const said: object[] = []
    const log = { error: ({ err }: { err: NodeJS.ErrnoException }, text: string) => said.push([err.code, text]) }
    const journal = new JournalFile(path, undefined, log as unknown as Logger)
    journal.record({ event: 'fork', why: 'lost' })
    journal.record({ event: 'fork', why: 'lost too' })
    assert.deepEqual(said, [['ENOSPC', 'the journal cannot be written']])
    unlinkSync(folder)
    mkdirSync(folder)
    journal.record({ event: 'fork', why: 'kept' })
    assert.deepEqual(whys(journal), ['kept'])
  })

  test('does not follow a symbolic link in its place', (t) => {
    const path = pathIn(t)
    const other = join(temporaryFolder(t), 'other')
    writeFileSync(other, 'as it was')
    symlinkSync(other, path)
    const said: object[] = []
    const log = { error: ({ err }: { err: NodeJS.ErrnoException }) => said.push([err.code]) }
    new JournalFile(path, undefined, log as unknown as Logger).record({ event: 'fork' })
    assert.deepEqual(said, [['ELOOP']])
    assert.equal(readFileSync(other, 'utf8'), 'as it was')
  })

  test('does not throw for an entry that is not JSON', (t) => {
    const journal = new JournalFile(pathIn(t))
    journal.record({ event: 'fork', count: 1n })
    journal.record({ event: 'fork', why: 'kept' })
    assert.deepEqual(whys(journal), ['kept'])
  })
})

describe('the latest entries', () => {
  const withEntries = (t: TestContext, ...entries: object[]) => {
    const path = pathIn(t)
    writeFileSync(path, entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''))
    const journal = new JournalFile(path)
    return { journal, auditLog: journal }
  }
  const latest = readLatest('journal')

  test('are 50, unless another limit is given, or all since a moment', (t) => {
    const at = new Date().toISOString()
    const files = withEntries(t, ...Array.from({ length: 60 }, () => ({ at, event: 'fork', slot: 0 })))
    assert.equal(latest(files, {}).length, 50)
    assert.equal(latest(files, { slot: 0, limit: 55 }).length, 55)
    assert.equal(latest(files, { since: '1h' }).length, 60)
    assert.equal(latest(files, { since: '1h', limit: 5 }).length, 5)
  })

  test('begin at a time, or a duration ago, and may be of one slot', (t) => {
    const ago = (ms: number) => new Date(Date.now() - ms).toISOString()
    const files = withEntries(
      t,
      { at: ago(7_000_000), event: 'old', slot: 1 },
      { at: ago(500_000), event: 'other', slot: 0 },
      { at: ago(400_000), event: 'new', slot: 1 }
    )
    const events = (selection: object) => latest(files, selection).map(({ event }) => event)
    assert.deepEqual(events({ since: '10m' }), ['other', 'new'])
    assert.deepEqual(events({ since: '10m', slot: 1 }), ['new'])
    assert.deepEqual(events({ since: ago(450_000) }), ['new'])
    assert.deepEqual(events({ since: '2h' }), ['old', 'other', 'new'])
    assert.deepEqual(events({ since: '30s' }), [])
  })

  test('begin at local times, unless a zone is given', () => {
    const local = new Date(2026, 0, 31).getTime()
    assert.equal(oldestOf('2026-01-31').getTime(), local)
    assert.equal(oldestOf('2026-01-31T12:30').getTime(), local + 12.5 * 3_600_000)
    assert.equal(oldestOf('2026-01-31T12:30:01Z').toISOString(), '2026-01-31T12:30:01.000Z')
    assert.equal(oldestOf('2d', local).getTime(), local - 2 * 86_400_000)
    assert.throws(() => oldestOf('2026-13-01'), /since: there is no time 2026-13-01/)
  })
})
