import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NO_MEMORY, planRebalance, recordMoves } from '../../src/primary/rebalancing/rebalance-rule.ts'
import { chooseConnections } from '../../src/worker/rebalancing/choose-connections.ts'
import { Random } from '../helpers/random.ts'

/** Every worker has just sent a heartbeat. */
const loads = (measuredAt: number, ...utilization: number[]) =>
  utilization.map((each, id) => ({ id, utilization: each, measuredAt, isNew: false }))

test('hot connections are spread within 4 s wherever they begin, and then stay where they are', () => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = new Random(seed)
    const workers = random.between(2, 8)
    const hot = random.between(2, workers)
    const home = random.between(0, workers - 1)
    // Each would keep an event loop busy; the others do nothing.
    const at = Array.from({ length: 20 }, (_, i) => (i < hot ? home : random.between(0, workers - 1)))
    let memory = NO_MEMORY
    let moves = 0
    let spreadAt = Number.POSITIVE_INFINITY
    for (let second = 0; second < 300; second++) {
      const counts = Array.from({ length: workers }, (_, id) => at.filter((w, i) => w === id && i < hot).length)
      if (Math.max(...counts) === 1) spreadAt = Math.min(spreadAt, second)
      const noisy = counts.map((count) => Math.min(1, Math.max(0, count * 0.95 + (random.next() - 0.5) * 0.1)))
      const result = planRebalance(memory, loads(second * 1000, ...noisy), second * 1000)
      memory = result.memory
      for (const plan of result.plans) {
        const own = at.flatMap((worker, connection) => (worker === plan.source ? [connection] : []))
        const watched = own.map((connection) => ({
          connection,
          requests: connection < hot ? random.between(80, 120) : 0
        }))
        const chosen = chooseConnections(watched, plan)
        for (const [connection, target] of chosen) at[connection] = target
        memory = recordMoves(memory, plan.source, chosen.size, second * 1000)
        moves += chosen.size
      }
    }
    assert.ok(spreadAt <= 4, `seed ${seed}: spread after ${spreadAt} s`)
    assert.equal(moves, hot - 1, `seed ${seed}: no connection moves twice`)
  }
})

test('a load that wanders does not make connections go to and fro', () => {
  const random = new Random(7)
  const at = Array.from({ length: 200 }, (_, i) => i % 4)
  let memory = NO_MEMORY
  let moves = 0
  for (let second = 0; second < 600; second++) {
    // Each of 200 connections keeps an event loop busy for 0.5 to 1.5 % of the time.
    const load = at.map(() => 0.005 + random.next() * 0.01)
    const utilization = [0, 1, 2, 3].map((id) => load.reduce((sum, each, i) => sum + (at[i] === id ? each : 0), 0))
    const result = planRebalance(memory, loads(second * 1000, ...utilization), second * 1000)
    memory = result.memory
    moves += result.plans.length
  }
  assert.equal(moves, 0)
})
