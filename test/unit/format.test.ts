import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { stripVTControlCharacters, styleText } from 'node:util'
import { format, formatEntry, jsonLine } from '../../src/cli/format.ts'

const STATUS = {
  version: '1.0.0',
  state: 'running',
  workers: [
    { slot: 0, status: 'ready' },
    { slot: 1, status: 'draining', rssBytes: 7 }
  ],
  lastReload: null,
  restarts: {}
}

describe('the output of the command line', () => {
  test('shows the status as a line for the service and one for each worker', () => {
    assert.equal(
      format('status', STATUS, false),
      'version  state\n1.0.0    running\n\nslot  status    rssBytes\n0     ready\n1     draining  7\n'
    )
  })

  test('has colours on terminals only, and the same columns', () => {
    const coloured = format('status', STATUS, true)
    assert.ok(coloured.includes(`${styleText('green', 'ready   ', { validateStream: false })}`), coloured)
    assert.ok(coloured.includes(styleText('yellow', 'draining', { validateStream: false })), coloured)
    const plain = stripVTControlCharacters(coloured).replace(/ +$/gm, '')
    assert.equal(plain, format('status', STATUS, false))
  })

  for (const [command, result, shown] of [
    ['stop', null, 'ok\n'],
    ['ping', 'pong', 'pong\n'],
    ['scale', { workers: 3 }, 'workers\n3\n'],
    ['sessions-list', [], 'none\n'],
    ['journal', [], 'nothing is recorded\n'],
    ['settings-get', { version: 1, values: { banner: 'x' } }, 'setting  value\nbanner   x\n'],
    ['config', { PORT: 8080, APP: null }, 'variable  value\nPORT      8080\nAPP       not set\n']
  ] as const) {
    test(`${command}: ${JSON.stringify(result)}`, () => assert.equal(format(command, result, false), shown))
  }

  test('escapes characters that a terminal would obey, in tables, lines and JSON', () => {
    const evil = 'a\u001b[2Jb\nc\u007f\u009b1mä\u202e€'
    const shown = 'a\\u001b[2Jb\\nc\\u007f\\u009b1mä\\u202e€'
    assert.equal(
      format('settings-get', { version: 1, values: { [evil]: evil } }, true),
      `setting${' '.repeat(shown.length - 7)}  value\n${shown}  ${shown}\n`
    )
    assert.equal(format('ping', evil, true), `${shown}\n`)
    assert.equal(jsonLine({ [evil]: evil }), `{"${shown}":"${shown}"}\n`)
    assert.deepEqual(JSON.parse(jsonLine({ [evil]: [evil] })), { [evil]: [evil] })
    assert.equal(formatEntry({ at: '2026', event: evil, command: 'x', who: evil }).includes('\u009b'), false)
  })

  test('shows a journal entry as one line, whatever text it contains', () => {
    const entry = { at: '2026-01-01T00:00:00.000Z', event: 'killed', slot: 1, pid: 42, why: 'it\nhung \u001b[2J' }
    assert.equal(formatEntry(entry), '2026-01-01T00:00:00.000Z  killed  slot 1  pid 42  it hung [2J\n')
    assert.equal(
      formatEntry({
        at: '2026-01-01T00:00:00.000Z',
        event: 'command answered',
        command: 'reload',
        who: 'uid 0 (root)'
      }),
      '2026-01-01T00:00:00.000Z  command answered  reload, uid 0 (root)\n'
    )
  })
})
