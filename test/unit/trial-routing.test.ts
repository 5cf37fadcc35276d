import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assign } from '../../src/primary/listener/trial-routing.ts'

const targets = Array.from({ length: 6 }, (_, id) => ({ id, slot: id < 2 ? 0 : id - 2 }))
const trial = { canary: 0, control: 1, share: 0.1, seed: 7 }
const ids = (chosen: readonly { id: number }[]) => chosen.map(({ id }) => id)
const sideOf = (chosen: readonly { id: number }[]) => (chosen.length === 1 ? chosen[0]!.id : 'others')

test('new connections are assigned in the proportion of the shares', () => {
  const counts: Record<string, number> = {}
  for (let i = 0; i < 1000; i++) {
    const side = sideOf(assign(targets, trial, {}, (i + 0.5) / 1000).assigned)
    counts[side] = (counts[side] ?? 0) + 1
  }
  assert.deepEqual(counts, { 0: 100, 1: 100, others: 800 })
})

test('a client stays on its side, about a tenth of the clients is on each, and another trial has others', () => {
  const clients = Array.from({ length: 20_000 }, (_, i) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`)
  const side = (client: string, draw: number, seed = 7) =>
    sideOf(assign(targets, { ...trial, seed }, { client }, draw).assigned)
  const onCanary = clients.filter((client) => side(client, 0.5) === 0)
  assert.ok(
    clients.every((client) => side(client, 0.01) === side(client, 0.99)),
    'the draw does not matter'
  )
  assert.ok(Math.abs(onCanary.length - 2000) < 200, `${onCanary.length} clients`)
  const again = onCanary.filter((client) => side(client, 0.5, 8) === 0)
  assert.ok(Math.abs(again.length - 200) < 80, `${again.length} clients on the canary of both trials`)
})

test('connections of other workers, and all while the control starts, stay with the old workers', () => {
  const old = [2, 3, 4, 5]
  assert.deepEqual(ids(assign(targets, trial, { slot: 0 }, 0).assigned), old)
  assert.deepEqual(ids(assign(targets, trial, { resumes: true, slot: 3 }, 0).assigned), old)
  assert.deepEqual(ids(assign(targets, { ...trial, share: 0 }, {}, 0).assigned), old)
})

test('what a side cannot take goes to the old workers, and the last resort is any worker', () => {
  assert.deepEqual(ids(assign(targets, trial, {}, 0).others), [2, 3, 4, 5])
  assert.deepEqual(ids(assign(targets, trial, {}, 0.5).others), [0, 1, 2, 3, 4, 5])
})

test('without a control, its share goes to the old workers', () => {
  const { assigned } = assign(targets.slice(0, 1).concat(targets.slice(2)), { ...trial, control: undefined }, {}, 0.99)
  assert.deepEqual(ids(assigned), [2, 3, 4, 5])
})
