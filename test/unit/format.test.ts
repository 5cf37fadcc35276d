import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { stripVTControlCharacters, styleText } from 'node:util'
import { format, jsonLine } from '../../src/cli/output/format.ts'
import { formatEntry } from '../../src/cli/output/journal-table.ts'
import { NO_SCREEN, type Screen } from '../../src/cli/output/table.ts'
import { formatBytes, formatCount, formatDuration, formatTime } from '../../src/common/text/units.ts'

const COLOURS: Screen = { hasColours: true, width: 100 }
const ready = { status: 'ready', generation: 1, inFlight: 0, connections: 12, loopDelayMs: 46.71, utilization: 0.451 }
const STATUS = {
  version: '1.0.0',
  host: 'web-1',
  pid: 4240,
  url: 'http://localhost:8080',
  folder: '/srv/app',
  uptimeSeconds: 200,
  generation: 1,
  desired: 11,
  scheduling: 'rr',
  state: 'running',
  workers: [
    { ...ready, slot: 10, pid: 4252, uptimeSeconds: 90_000, requests: 1_234_567, rssBytes: 95_219_712 },
    { slot: 9, pid: 4251, generation: 1, status: 'starting', uptimeSeconds: 0 },
    { ...ready, slot: 0, pid: 4242, uptimeSeconds: 199, requests: 7, rssBytes: 3_221_225_472 }
  ],
  lastReload: null,
  restarts: { crash: 0, hang: 0 }
}

describe('the output of the command line', () => {
  test('shows an upgrade under way: how far it is, the other primary, and why it is rolled back', () => {
    // The clocks of two hosts may differ.
    const since = new Date(Date.now() + 60_000).toISOString()
    const upgrade = { pid: 4711, role: 'successor', step: 'leaving', slots: 1, since }
    const shown = (more: object) => {
      const text = format('status', { ...STATUS, desired: 4, upgrade: { ...upgrade, ...more } }, NO_SCREEN)
      return text
        .replaceAll('\n  ', ' ')
        .split('\n')
        .find((line) => line.startsWith('upgrade: '))
    }
    assert.equal(
      shown({ version: '1.2.3', node: 'v24.1.0' }),
      'upgrade: began 0 s ago; 1 of 4 slots have a new worker; a worker of the old primary drains; new primary: pid 4711, muster 1.2.3 on Node.js v24.1.0'
    )
    assert.match(
      shown({ step: 'restoring', why: 'it crashed' })!,
      /^upgrade: began 0 s ago, and is rolled back: it crashed; /
    )
    assert.equal(
      shown({ role: 'predecessor', step: 'serving', slots: 4 }),
      'upgrade: began 0 s ago; 4 of 4 slots have a new worker; the old primary waits for its last workers; old primary: pid 4711'
    )
  })

  test('shows the status in units, slots in numerical order, and nothing for what is not known yet', () => {
    assert.equal(
      format('status', STATUS, NO_SCREEN),
      `muster 1.0.0 · running on http://localhost:8080 · pid 4240 of web-1
up 3 m 20 s · 2 of 11 workers ready · generation 1 · scheduling rr
folder /srv/app

slot  pid   status          up  gen  conns  in flight   requests  loop delay  busy    memory
0     4242  ready     3 m 19 s    1     12          0          7       47 ms  45 %   3.0 GiB
9     4251  starting       0 s    1
10    4252  ready      1 d 1 h    1     12          0  1,234,567       47 ms  45 %  90.8 MiB
`
    )
  })

  test('shows the range of autoscaling, its load, its limit and its last decision', () => {
    const last = { at: '2026-01-31T12:00:00.000Z', from: 2, to: 4, why: 'load 2.00 saturates 2 workers' }
    const shown = (autoscaling: object) => format('status', { ...STATUS, autoscaling }, NO_SCREEN).split('\n')[3]
    assert.equal(
      shown({ range: '2..8', load: 1.5, limit: 'cpu', last }),
      'autoscaling: 2..8 workers by load, now 1.50, limited by cpu; last: 2 to 4, load 2.00 saturates 2'
    )
    assert.equal(
      shown({ range: null, load: 0, limit: null, last: null }),
      'autoscaling: off, `muster scale auto` turns it on'
    )
  })

  test('shows the last reload and the workers that were replaced', () => {
    const lastReload = { outcome: 'failed', generation: 3, durationMs: 61_000, why: 'exit code 3' }
    const shown = format('status', { ...STATUS, lastReload, restarts: { crash: 2, hang: 0, oom: 1 } }, NO_SCREEN)
    assert.ok(
      shown.endsWith(
        '\n\nlast reload: failed in 1 m 1 s, generation 3: exit code 3\nreplaced workers: crash 2, oom 1\n'
      ),
      shown
    )
  })

  test('shows lingering workers and what was cut', () => {
    const waitsFor = { counts: { upload: 2 }, oldestMs: 5000 }
    const old = { ...ready, status: 'draining', slot: 0, pid: 4242, uptimeSeconds: 7, waitsFor }
    const cuts = [{ kind: 'upload', reason: 'stalled', count: 1 }]
    const lastReload = { outcome: 'done', generation: 2, durationMs: 1800, cuts }
    const shown = format('status', { ...STATUS, workers: [old], lastReload }, NO_SCREEN)
    assert.match(shown, /^0 +4242 +lingering /m)
    assert.ok(
      shown.endsWith(
        '\n\n1 worker lingers: 2 uploads, oldest 5 s\n\nlast reload: done in 1.8 s, generation 2; cut: 1 upload (no byte moved for DRAIN_TIMEOUT)\n'
      ),
      shown
    )
    assert.equal(
      format('reload', { outcome: 'done', cuts, lingering: [waitsFor] }, NO_SCREEN),
      `outcome    done
cut        1 upload (no byte moved for DRAIN_TIMEOUT)
lingering  1 worker lingers: 2 uploads, oldest 5 s
`
    )
  })

  test('fits 100 columns with large numbers and a long reason', () => {
    const large = { pid: 4_194_303, status: 'draining', generation: 120, uptimeSeconds: 31_500_000, utilization: 1 }
    const worker = { ...large, slot: 998, connections: 10_000, inFlight: 9999, requests: 99_999_999 }
    const workers = [{ ...worker, loopDelayMs: 12_345, rssBytes: 1_073_000_000 }]
    const lastReload = { outcome: 'failed', generation: 3, durationMs: 5, why: 'the app ended '.repeat(30) }
    const lines = format('status', { ...STATUS, workers, lastReload }, NO_SCREEN).split('\n')
    assert.deepEqual(
      lines.filter((line) => line.length > 100),
      []
    )
  })

  test('has colours on terminals only, and the same columns', () => {
    const coloured = format('status', STATUS, COLOURS)
    assert.ok(coloured.includes(styleText('green', 'ready   ', { validateStream: false })), coloured)
    assert.ok(coloured.includes(styleText('yellow', 'starting', { validateStream: false })), coloured)
    assert.equal(stripVTControlCharacters(coloured).replace(/ +$/gm, ''), format('status', STATUS, NO_SCREEN))
  })

  for (const [command, result, shown] of [
    ['stop', null, 'ok\n'],
    ['ping', 'pong', 'pong\n'],
    ['scale', { workers: 3 }, 'workers  3\n'],
    ['reload', { outcome: 'done', durationMs: 1801 }, 'outcome   done\nduration  1.8 s\n'],
    ['reload', { connections: { total: 1200, idle: 0, cut: 3 } }, 'connections  total 1,200, cut 3\n'],
    ['diagnose', { slot: 0, memoryBytes: { heapUsed: 21_240_112 } }, 'slot    0\nmemory  heap used 20.3 MiB\n'],
    ['diagnose', { active: {}, loopDelayMs: { p99: null } }, 'active      none\nloop delay  p99 not set\n'],
    ['sessions-list', [], 'none\n'],
    ['sessions-list', [{ handle: 'q3', idleLeftMs: 1_800_000 }], 'handle  idle left\nq3           30 m\n'],
    ['journal', [], 'nothing is recorded\n'],
    [
      'settings-get',
      { version: 1, values: { banner: '', level: null } },
      'setting  value\nbanner   empty\nlevel    not set\n'
    ],
    ['config', { PORT: 8080, APP: null }, 'variable  value\nPORT      8080\nAPP       not set\n']
  ] as const) {
    test(`${command}: ${JSON.stringify(result)}`, () => assert.equal(format(command, result, NO_SCREEN), shown))
  }

  test('escapes characters that a terminal would obey, in tables, lines and JSON', () => {
    const evil = 'a\u001b[2Jb\nc\u007f\u009b1mä\u202e€'
    const shown = 'a\\u001b[2Jb\\nc\\u007f\\u009b1mä\\u202e€'
    assert.equal(
      format('settings-get', { version: 1, values: { [evil]: evil } }, COLOURS),
      `setting${' '.repeat(shown.length - 7)}  value\n${shown}  ${shown}\n`
    )
    assert.equal(format('ping', evil, COLOURS), `${shown}\n`)
    assert.ok(!format('scale', { [evil]: evil }, NO_SCREEN).includes('\u001b'))
    const escaped = format(
      'status',
      { ...STATUS, folder: evil, lastReload: { outcome: 'failed', why: evil } },
      NO_SCREEN
    )
    assert.ok(!escaped.includes('\u001b') && escaped.includes(shown), escaped)
    assert.equal(jsonLine({ [evil]: evil }), `{"${shown}":"${shown}"}\n`)
    assert.deepEqual(JSON.parse(jsonLine({ [evil]: [evil] })), { [evil]: [evil] })
    assert.ok(!formatEntry({ at: evil, event: evil, command: 'x', who: evil }, NO_SCREEN).includes('\u009b'))
  })
})

describe('the journal', () => {
  const NOW = new Date()
  const MORNING = new Date(NOW.getFullYear(), NOW.getMonth(), NOW.getDate(), 9, 5, 7)
  const at = MORNING.toISOString()

  test('shows local times, and the date of other days', () => {
    assert.equal(formatTime(MORNING), '09:05:07')
    assert.equal(formatTime(new Date(2025, 0, 31, 23, 59, 1)), '2025-01-31 23:59:01')
    const old = new Date(2025, 0, 31, 23, 59, 1).toISOString()
    const entries = [
      { at: old, event: 'start', pid: 41 },
      { at, event: 'starts', slot: 0, pid: 42, generation: 1, why: 'wanted' }
    ]
    assert.equal(
      format('journal', entries, NO_SCREEN),
      `               time  event   slot  pid  gen  why
2025-01-31 23:59:01  start         41
           09:05:07  starts  0     42   1    wanted
`
    )
  })

  test('shows failures in red, on terminals only, and continues long reasons below themselves', () => {
    const failures = [
      { at, event: 'exited', why: 'SIGSEGV' },
      { at, event: 'hangs' },
      { at, event: 'reload failed' },
      { at, event: 'stop', code: 1 },
      { at, event: 'command answered', ok: false }
    ]
    const others = [
      { at, event: 'exited', why: 'exit code 0' },
      { at, event: 'ready' },
      { at, event: 'stop', code: 0 },
      { at, event: 'command answered', ok: true }
    ]
    const isRed = (text: string) => text.includes('\u001b[31m')
    for (const entry of failures) assert.ok(isRed(format('why', [entry], COLOURS)), entry.event)
    for (const entry of others) assert.ok(!isRed(format('why', [entry], COLOURS)), entry.event)
    for (const entry of failures) assert.ok(!isRed(format('why', [entry], NO_SCREEN)), entry.event)
    const long = format('why', [{ at, event: 'x', why: 'reason '.repeat(30) }], { hasColours: false, width: 60 })
    assert.ok(long.split('\n').every((line) => line.length <= 60) && long.split('\n').length > 4, long)
  })

  test('shows an entry as one line, whatever text it contains', () => {
    const entry = { at, event: 'killed', slot: 1, pid: 42, why: 'it\nhung \u001b[2J' }
    assert.equal(formatEntry(entry, NO_SCREEN), '09:05:07  killed  slot 1  pid 42  it hung [2J\n')
    const command = { at, event: 'command answered', command: 'reload', who: 'uid 0 (root)' }
    assert.equal(formatEntry(command, NO_SCREEN), '09:05:07  command answered  reload, uid 0 (root)\n')
  })
})

test('units are those that people read', () => {
  const durations = [0, 0.04, 9.96, 46.7, 999.6, 1801, 9960, 59_700, 60_000, 200_000, 3_599_600, 7_500_000, 90_000_000]
  assert.deepEqual(durations.map(formatDuration), [
    '0 ms',
    '0 ms',
    '10 ms',
    '47 ms',
    '1 s',
    '1.8 s',
    '10 s',
    '1 m',
    '1 m',
    '3 m 20 s',
    '1 h',
    '2 h 5 m',
    '1 d 1 h'
  ])
  assert.deepEqual([0, 1023, 1024, 1_048_570, 95_219_712, 2 ** 31].map(formatBytes), [
    '0 B',
    '1,023 B',
    '1.0 KiB',
    '1.0 MiB',
    '90.8 MiB',
    '2.0 GiB'
  ])
  assert.deepEqual([0, 999, 1000, 1_234_567].map(formatCount), ['0', '999', '1,000', '1,234,567'])
})
