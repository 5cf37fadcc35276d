import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stripVTControlCharacters } from 'node:util'
import { createPrinter } from '../../src/common/pretty-log.ts'

const TIME = new Date(2026, 0, 31, 14, 3, 21).getTime()
const WORKER = { role: 'worker', worker: 0, generation: 1, pid: 42 }
const PRIMARY = { role: 'primary', pid: 40 }
const show = (fields: object, hasColours = false) =>
  createPrinter(hasColours)(JSON.stringify({ level: 30, time: TIME, ...fields }))

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
  assert.equal(createPrinter(false)(line), '')
  assert.notEqual(createPrinter(false, true)(line), '')
})
