import assert from 'node:assert/strict'
import { test } from 'node:test'
import { consoleModule } from '../helpers/page-module.ts'

const { Rollouts, describeLane, spanOf } = await consoleModule('model/rollouts.js')

const START = Date.UTC(2026, 0, 31, 12)
const at = (second: number) => new Date(START + second * 1000).toISOString()
type Entry = [second: number, event: string, fields?: object]
const follow = (...entries: Entry[]) => {
  const rollouts = new Rollouts()
  for (const [second, event, fields] of entries) rollouts.apply({ at: at(second), event, ...fields })
  return rollouts.list
}
interface Bar {
  row: number
  stage: string
  from: number
  to?: number
}
/** The bars of a slot, with times in seconds after the start. */
const barsOf = (rollout: { slots: Map<number, { bars: Bar[] }> }, slot: number) =>
  rollout.slots
    .get(slot)!
    .bars.map(({ row, stage, from, to }) => [
      row,
      stage,
      (from - START) / 1000,
      to === undefined ? '…' : (to - START) / 1000
    ])

const NEW = { slot: 0, pid: 2, generation: 2 }
const OLD = { slot: 0, pid: 1, generation: 1 }
const GOOD: Entry[] = [
  [0, 'reload begins', { generation: 2, from: 'a', to: 'b' }],
  [1, 'starts', NEW],
  [3, 'ready', NEW],
  [4, 'drains', OLD],
  [5, 'drained', { ...OLD, total: 12, handedOver: 11, cut: 1, why: '' }],
  [6, 'exited', { ...OLD, why: 'exit code 0' }],
  [7, 'reload done', { generation: 2 }]
]

test('a lane shows the new worker, the old worker, and what became of the connections', () => {
  const [reload] = follow(...GOOD)
  assert.deepEqual(
    [reload.kind, reload.generation, reload.outcome, reload.from, reload.to],
    ['reload', 2, 'done', 'a', 'b']
  )
  assert.deepEqual(barsOf(reload, 0), [
    [0, 'starting', 1, 3],
    [0, 'serving', 3, '…'],
    [1, 'draining', 4, 6]
  ])
  assert.equal(describeLane(reload.slots.get(0)), '11 of 12 connections moved, 1 cut')
})

test('a worker that lingers belongs to its rollout until it ends, and later events do not', () => {
  const [reload] = follow(
    ...GOOD.slice(0, 4),
    [5, 'lingers', { ...OLD, why: '1 upload' }],
    [7, 'reload done', { generation: 2 }],
    [8, 'exited', { ...NEW, why: 'SIGKILL' }],
    [9, 'starts', { ...NEW, pid: 3 }],
    [20, 'drained', { ...OLD, total: 3, handedOver: 2, cut: 0 }],
    [21, 'exited', OLD]
  )
  assert.deepEqual(barsOf(reload, 0), [
    [0, 'starting', 1, 3],
    [0, 'serving', 3, '…'],
    [1, 'draining', 4, 5],
    [1, 'lingering', 5, 21]
  ])
  assert.equal(reload.slots.get(0).failed, false)
})

test('a trial has its time and its verdict, and the worker to compare with is in no lane', () => {
  const control = { slot: 0, pid: 9, generation: 1 }
  const [reload] = follow(
    [0, 'reload begins', { generation: 2 }],
    [1, 'starts', NEW],
    [2, 'ready', NEW],
    [2, 'starts', control],
    [3, 'ready', control],
    [4, 'trial begins', { generation: 2 }],
    [9, 'trial ends', { generation: 2, why: 'no worse after 5 s' }],
    [10, 'drains', control],
    [10, 'drained', { ...control, total: 5, handedOver: 5, cut: 0 }],
    [10, 'exited', control]
  )
  assert.deepEqual(reload.trial, { from: START + 4000, to: START + 9000, text: 'no worse after 5 s' })
  assert.deepEqual(barsOf(reload, 0), [
    [0, 'starting', 1, 2],
    [0, 'serving', 2, '…']
  ])
})

test('a release that cannot boot marks its slot, with the first line of the reason', () => {
  const [reload] = follow(
    [0, 'reload begins', { generation: 2 }],
    [1, 'starts', NEW],
    [2, 'cannot boot', { ...NEW, why: 'no module\n    at app.js:1' }],
    [2, 'exited', { ...NEW, why: 'exit code 78' }],
    [3, 'reload failed', { generation: 2, why: 'worker 0 cannot boot' }]
  )
  assert.equal(reload.outcome, 'failed')
  assert.equal(reload.slots.get(0).failed, true)
  assert.equal(describeLane(reload.slots.get(0)), 'no module')
})

test('slots that go back to the old release are shown as rolled back', () => {
  const [reload] = follow(
    ...GOOD.slice(0, 6),
    [8, 'cannot boot', { slot: 1, pid: 4, generation: 2, why: 'x' }],
    [9, 'starts', { slot: 0, pid: 5, generation: 1 }],
    [10, 'ready', { slot: 0, pid: 5, generation: 1 }],
    [11, 'drains', NEW]
  )
  assert.deepEqual(
    barsOf(reload, 0)
      .slice(-3)
      .map(([, stage]) => stage),
    ['back', 'serving', 'back']
  )
})

test('an upgrade has lanes too: workers that start are those of the new primary', () => {
  const [upgrade] = follow(
    [0, 'upgrade begins', { pid: 40, successor: 50 }],
    [1, 'starts', NEW],
    [2, 'ready', NEW],
    [3, 'drains', OLD],
    [4, 'exited', OLD],
    [5, 'upgrade done', {}]
  )
  assert.equal(upgrade.kind, 'upgrade')
  assert.deepEqual(
    barsOf(upgrade, 0).map(([row, stage]) => [row, stage]),
    [
      [0, 'starting'],
      [0, 'serving'],
      [1, 'draining']
    ]
  )
})

test('the newest rollout comes first, at most five are kept, and one that the service did not survive ends with it', () => {
  const many = Array.from({ length: 7 }, (_, i): Entry => [i, 'reload begins', { generation: i }])
  const list = follow(...many, [8, 'start', { pid: 1 }])
  assert.deepEqual(
    list.map(({ generation }: { generation: number }) => generation),
    [6, 5, 4, 3, 2]
  )
  assert.equal(list[0].outcome, 'stopped')
})

test('the time axis has four round steps that reach the end of the rollout', () => {
  const [reload] = follow(...GOOD)
  assert.equal(spanOf(reload, START + 99_000), 8000, 'workers that go on serving do not make it longer')
  const [running] = follow(...GOOD.slice(0, 4))
  assert.equal(spanOf(running, START + 41_000), 60_000)
})
