import assert from 'node:assert/strict'
import { test } from 'node:test'
import { consoleModule } from '../helpers/page-module.ts'

const { attentionOf, healthOf, describeRestarts } = await consoleModule('model/health.js')

const NOW = Date.parse('2026-01-31T12:00:00Z')
const worker = (slot: number, fields = {}) => ({ slot, pid: 100 + slot, status: 'ready', generation: 1, ...fields })
const service = (fields = {}) => ({
  state: 'running',
  redis: true,
  desired: 2,
  workers: [worker(0), worker(1)],
  quarantine: [],
  autoscaling: null,
  lastReload: null,
  ...fields
})
const STATES: [what: string, fields: object, level: string, line: RegExp][] = [
  ['all serve', {}, 'good', /^Healthy: 2 of 2 workers serve\.$/],
  ['a slot is empty', { workers: [worker(0)] }, 'warn', /^Reduced: only 1 of 2 workers serves\.$/],
  ['none serves', { workers: [worker(0, { status: 'starting' })] }, 'bad', /^Down: no worker serves/],
  ['Redis is away', { redis: false }, 'bad', /^Redis is away/],
  ['a slot keeps failing', { state: 'degraded', workers: [worker(0)] }, 'bad', /^Degraded: .* 1 of 2 workers serves/],
  ['it boots', { state: 'starting', workers: [] }, 'busy', /^Starting/],
  ['it reloads', { state: 'reloading' }, 'busy', /^Healthy, and a reload is under way/],
  ['its primary is replaced', { state: 'upgrading' }, 'busy', /^Healthy, and an upgrade is under way/],
  [
    'an upgrade is rolled back',
    { state: 'upgrading', upgrade: { why: 'it crashed' } },
    'warn',
    /^Healthy, but an upgrade is rolled back\. 2 of 2/
  ],
  ['it stops', { state: 'draining' }, 'warn', /^Stopping: the service drains\. 2 of 2 workers still serve/]
]
for (const [what, fields, level, line] of STATES) {
  test(`one line tells how the service is when ${what}`, () => {
    const health = healthOf(service(fields))
    assert.equal(health.level, level)
    assert.match(health.line, line)
  })
}

test('two workers in one slot count once, as during a reload', () => {
  const workers = [worker(0), worker(0, { pid: 200, generation: 2 }), worker(1)]
  assert.match(healthOf(service({ workers })).line, /2 of 2 workers/)
})

test('the line tells the rate of requests where it is known', () => {
  assert.equal(healthOf(service(), 12.34).line, 'Healthy: 2 of 2 workers serve, 12.3 requests/s.')
})

const attention = (fields = {}, entries: object[] = [], context = {}) =>
  attentionOf(service(fields), entries, { now: NOW, ...context }) as { level: string; text: string; target: string }[]
const exited = (minutesAgo: number, why: string) => ({
  at: new Date(NOW - minutesAgo * 60_000).toISOString(),
  event: 'exited',
  slot: 1,
  why
})

test('a failed upgrade needs attention until another one is done', () => {
  const failed = { at: new Date(NOW).toISOString(), event: 'upgrade failed', why: 'it crashed\n    at start' }
  const note = { level: 'bad', text: 'The last upgrade failed: it crashed', target: 'rollouts' }
  assert.deepEqual(attention({}, [failed]), [note])
  assert.deepEqual(attention({}, [failed, { ...failed, event: 'upgrade done' }]), [])
})

test('nothing needs attention in a service that is well', () => {
  assert.deepEqual(attention(), [])
  assert.deepEqual(attention({}, [exited(1, 'exit code 0')]), [])
  assert.deepEqual(attention({ lastReload: { outcome: 'done' } }), [])
})

const NOTES: [what: string, notes: ReturnType<typeof attention>, level: string, text: RegExp][] = [
  [
    'workers that failed lately',
    attention({}, [exited(1, 'SIGKILL\n at x'), exited(99, 'SIGSEGV')]),
    'bad',
    /^1 worker failed in the last 10 minutes, .* slot 1: SIGKILL$/
  ],
  [
    'a failed reload, by its first line',
    attention({ lastReload: { outcome: 'failed', why: 'no app\n at x' } }),
    'bad',
    /^The last reload failed: no app$/
  ],
  ['a canary that waits for a decision', attention({ trial: { state: 'held' } }), 'warn', /promote it or roll it back/],
  [
    'a reload that waits for another host',
    attention({ rolloutWaits: { why: 'host b reloads' } }),
    'warn',
    /host b reloads/
  ],
  [
    'an event loop that is late',
    attention({ workers: [worker(0, { loopDelayMs: 700 }), worker(1)] }),
    'bad',
    /^Slot 0: .* late by 700 ms/
  ],
  [
    'an event loop that is always busy',
    attention({ workers: [worker(0, { utilization: 0.98 }), worker(1)] }),
    'warn',
    /98 %/
  ],
  [
    'a worker that lingers',
    attention({ workers: [worker(0), worker(1), worker(0, { waitsFor: {} })] }),
    'plain',
    /^1 replaced worker lingers/
  ],
  [
    'a quarantined route',
    attention({ quarantine: [{ route: 'POST /x', why: 'deaths' }] }),
    'warn',
    /^POST \/x is quarantined: deaths/
  ],
  [
    'a load that asks for more workers',
    attention({ autoscaling: { limit: 'memory' } }),
    'warn',
    /more workers than the memory allows/
  ],
  ['maintenance', attention({}, [], { maintenance: true }), 'bad', /^Maintenance is on/],
  [
    'another host with too few workers',
    attention({}, [], { hosts: [{ id: 'b-1', state: 'running', desired: 2, workers: [worker(0)], ageMs: 9 }] }),
    'warn',
    /^Host b-1: running, 1 of 2/
  ]
]
for (const [what, notes, level, text] of NOTES) {
  test(`what needs attention: ${what}`, () => {
    assert.equal(notes.length, 1)
    assert.equal(notes[0]!.level, level)
    assert.match(notes[0]!.text, text)
    assert.match(notes[0]!.target, /^(workers|rollouts|quarantine|journal|settings|hosts-panel|figures)$/)
  })
}

test('the worst comes first', () => {
  const fields = {
    workers: [worker(0, { waitsFor: {} })],
    quarantine: [{ route: 'GET /', why: '' }],
    lastReload: { outcome: 'failed' }
  }
  assert.deepEqual(
    attention(fields).map(({ level }) => level),
    ['bad', 'warn', 'plain']
  )
})

test('restarts have a total and their reasons', () => {
  assert.deepEqual(describeRestarts({ crash: 2, oom: 0, age: 1 }), { total: 3, text: 'crash 2, age 1', failed: true })
  assert.equal(describeRestarts({ crash: 0, age: 1 }).failed, false)
})
