import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  addCuts,
  type Cut,
  cutsByCrash,
  describeCuts,
  describeLingering,
  describeWaitsFor,
  parseCuts,
  parseWaitsFor
} from '../../src/ipc/drain-report.ts'

test('what a worker waits for is described with its oldest request', () => {
  for (const [counts, oldestMs, text] of [
    [{ upload: 2, socket: 1 }, 185_000, '2 uploads, 1 socket, oldest 3 m'],
    [{ stream: 1, idle: 2 }, 119_000, '1 event stream, 2 idle connections, oldest 119 s'],
    [{ download: 1, request: 0 }, 3 * 3_600_000, '1 download, oldest 3 h'],
    [{}, 0, 'nothing']
  ] as const) {
    assert.equal(describeWaitsFor({ counts, oldestMs }), text)
  }
})

test('lingering workers are described together', () => {
  assert.equal(describeLingering([]), undefined)
  const one = { counts: { upload: 2 }, oldestMs: 1000 }
  assert.equal(describeLingering([one]), '1 worker lingers: 2 uploads, oldest 1 s')
  const other = { counts: { upload: 1, request: 1 }, oldestMs: 5000 }
  assert.equal(describeLingering([one, other]), '2 workers linger: 3 uploads, 1 request, oldest 5 s')
})

test('cuts are added up and described with their reasons', () => {
  const total: Cut[] = []
  assert.equal(describeCuts(total), '')
  addCuts(total, [{ kind: 'upload', reason: 'stalled', count: 1 }])
  addCuts(total, [
    { kind: 'upload', reason: 'stalled', count: 2 },
    { kind: 'upload', reason: 'linger-timeout', count: 1 }
  ])
  assert.equal(describeCuts(total), '3 uploads (no byte moved for DRAIN_TIMEOUT), 1 upload (LINGER_TIMEOUT)')
})

test('a worker that crashes has cut what it waited for', () => {
  assert.deepEqual(cutsByCrash({ counts: { socket: 3, idle: 0 }, oldestMs: 1 }), [
    { kind: 'socket', reason: 'crash', count: 3 }
  ])
})

test('of the reports of a worker, only what has the right form is read', () => {
  const nonsense = [undefined, null, 7, 'text', [], {}, { counts: null }, { counts: { upload: -1 }, oldestMs: 'x' }]
  for (const value of nonsense) assert.deepEqual(parseWaitsFor(value), { counts: {}, oldestMs: 0 })
  assert.deepEqual(parseWaitsFor({ counts: { upload: 1, constructor: 2, socket: 0.5 }, oldestMs: 7 }), {
    counts: { upload: 1 },
    oldestMs: 7
  })
  for (const value of [...nonsense, [null], [7], [{ kind: 'upload', reason: 'x', count: 1 }]])
    assert.deepEqual(parseCuts(value), [])
  const cut = { kind: 'upload', reason: 'slow', count: 1 }
  assert.deepEqual(
    parseCuts([
      { ...cut, more: 1 },
      { ...cut, kind: 'toString' },
      { ...cut, count: -1 }
    ]),
    [cut]
  )
})
