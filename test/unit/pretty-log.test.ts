import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stripVTControlCharacters } from 'node:util'
import { createPrinter } from '../../src/common/pretty-log.ts'

const TIME = new Date(2026, 0, 31, 14, 3, 21).getTime()
const WORKER = { role: 'worker', worker: 0, generation: 1, pid: 42 }
const PRIMARY = { role: 'primary', pid: 40 }
const show = (fields: object, hasColours = false) =>
  createPrinter({ hasColours })(JSON.stringify({ level: 30, time: TIME, ...fields }))

for (const [what, fields, shown] of [
  [
    'a request',
    { ...WORKER, reqId: 'a', method: 'GET', url: '/todos', status: 200, ms: 11.2, ip: '::1', msg: 'request' },
    'GET /todos 200 11 ms · worker 0'
  ],
  [
    'the start',
    { ...PRIMARY, url: 'http://localhost:8080', workers: 2, redis: 'Redis (embedded)', msg: 'service ready' },
    'ready on http://localhost:8080 · 2 workers · Redis (embedded)'
  ],
  [
    'a crash',
    { ...PRIMARY, level: 50, worker: 42, slot: 1, generation: 1, why: 'SIGSEGV', msg: 'worker exited' },
    'error worker 1 exited · SIGSEGV · generation 1 · pid 42'
  ],
  ['a duration', { ...PRIMARY, durationMs: 2345, msg: 'rollout done' }, 'rollout done · duration 2.3 s'],
  ['what is not empty', { ...PRIMARY, msg: 'x', none: [], connections: { idle: 3, cut: 0 } }, 'x · connections idle 3'],
  ['control characters', { ...WORKER, msg: 'a\u001b[2Jb\nc' }, 'a\\u001b[2Jb\\nc · worker 0']
] as const) {
  test(`a terminal shows ${what} as one line, with and without colours`, () => {
    assert.equal(show(fields), `14:03:21 ${shown}\n`)
    assert.equal(stripVTControlCharacters(show(fields, true)), `14:03:21 ${shown}\n`)
  })
}

test('a terminal shows an error with a short stack', () => {
  const stack = ['TypeError: no', ...Array.from({ length: 20 }, (_, i) => `    at f (app.js:${i}:1)`)].join('\n')
  const lines = show({ ...PRIMARY, level: 50, err: { type: 'TypeError', message: 'no', stack }, msg: 'failed' }).split(
    '\n'
  )
  assert.deepEqual(lines.slice(0, 3), [
    '14:03:21 error failed',
    '         TypeError: no',
    '             at f (app.js:0:1)'
  ])
  assert.equal(lines.length, 7)
})

test('the parts of a start are shown at the level debug only', () => {
  const line = JSON.stringify({ level: 30, time: TIME, ...PRIMARY, msg: 'muster started' })
  assert.equal(createPrinter({ hasColours: false })(line), '')
  assert.notEqual(createPrinter({ hasColours: false, showsAll: true })(line), '')
})

test('muster dev shows a reload as one line with the files that changed, and no lines of packages in stacks', () => {
  const print = createPrinter({ hasColours: false, isDeveloped: true })
  const shown = (fields: object) => print(JSON.stringify({ level: 30, time: TIME, ...PRIMARY, ...fields }))
  const changes = { files: ['lib/text.ts'], msg: 'code changed' }
  const steps = [
    changes,
    { generation: 2, msg: 'rollout started' },
    { ...WORKER, msg: 'drained' },
    { slot: 0, worker: 44, msg: 'worker ready' },
    { slot: 0, worker: 42, why: 'exit code 0', msg: 'worker exited' }
  ]
  assert.deepEqual(steps.map(shown).join(''), '')
  assert.equal(shown({ durationMs: 870, msg: 'rollout done' }), '14:03:21 reloaded in 870 ms · lib/text.ts\n')
  assert.equal(shown({ durationMs: 870, msg: 'rollout done' }), '14:03:21 reloaded in 870 ms\n')

  const why = 'TypeError: no\n    at app.ts:1:1'
  const failures = [
    changes,
    { level: 50, slot: 0, worker: 45, why, msg: 'worker cannot boot' },
    { level: 50, slot: 0, worker: 45, why: 'exit code 78', msg: 'worker exited' }
  ]
  assert.deepEqual(failures.map(shown).join(''), '')
  const failed = shown({ level: 50, durationMs: 870, why, msg: 'rollout failed' })
  assert.equal(failed, '14:03:21 error not reloaded: lib/text.ts · TypeError: no\n')
  const crash = shown({ level: 50, slot: 0, worker: 46, why: 'exit code 3', msg: 'worker exited' })
  assert.match(crash, /error worker 0 exited · exit code 3/, 'a crash of code that serves is shown')

  const stack = 'Error: x\n    at a (/app/app.ts:4:40)\n    at b (/app/node_modules/fastify/lib/reply.js:1:1)'
  assert.doesNotMatch(shown({ level: 50, err: { stack }, msg: 'handler failed' }), /node_modules/)
})

test('a reason of several lines begins in the line of the event', () => {
  const why = 'worker 0 cannot boot: TypeError: no\n    at app.ts:1:1'
  assert.equal(
    show({ ...PRIMARY, level: 50, slot: 0, worker: 42, why, msg: 'worker cannot boot' }),
    '14:03:21 error worker 0 cannot boot · worker 0 cannot boot: TypeError: no · pid 42\n             at app.ts:1:1\n'
  )
})
