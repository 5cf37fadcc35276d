import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  NO_MEMORY,
  planRebalance as plan,
  type RebalanceMemory,
  type RebalancePlan,
  recordMoves,
  type WorkerLoad
} from '../../src/primary/rebalancing/rebalance-rule.ts'
import { chooseConnections } from '../../src/worker/rebalancing/choose-connections.ts'

type Load = Omit<WorkerLoad, 'measuredAt'>

/** Every worker has just sent a heartbeat. */
const planRebalance = (memory: RebalanceMemory, workers: readonly Load[], now: number) =>
  plan(
    memory,
    workers.map((worker) => ({ ...worker, measuredAt: now })),
    now
  )

const loads = (...utilization: number[]): Load[] =>
  utilization.map((each, id) => ({ id, utilization: each, isNew: false }))

/** The plans of each second while the loads stay the same. */
function plansOf(workers: Load[], seconds: number): RebalancePlan[][] {
  let memory = NO_MEMORY
  return Array.from({ length: seconds }, (_, second) => {
    const result = planRebalance(memory, workers, second * 1000)
    memory = result.memory
    return result.plans
  })
}

const round = (plans: RebalancePlan[]) =>
  JSON.parse(JSON.stringify(plans, (_, value) => (typeof value === 'number' ? Math.round(value * 1000) / 1000 : value)))

describe('the rule of rebalancing', () => {
  test('lets a worker give to all that are idle, when it was much busier for two heartbeats', () => {
    const [first, second] = plansOf(loads(1, 0, 0, 0), 2)
    assert.deepEqual(first, [])
    const targets = [1, 2, 3].map((id) => ({ id, amount: 0.25 }))
    assert.deepEqual(round(second!), [{ source: 0, utilization: 1, keep: 0.25, targets }])
  })

  test('lets workers give to a new one at once', () => {
    const workers = [...loads(1, 1), { id: 7, utilization: 0, isNew: true }, { id: 8, utilization: 0, isNew: true }]
    const [plans] = plansOf(workers, 1)
    assert.deepEqual(round(plans!), [
      { source: 0, utilization: 1, keep: 0.5, targets: [{ id: 7, amount: 0.5 }] },
      { source: 1, utilization: 1, keep: 0.5, targets: [{ id: 8, amount: 0.5 }] }
    ])
  })

  test('lets workers that rest give to a new one too', () => {
    let { memory } = planRebalance(NO_MEMORY, [...loads(1, 1), { id: 7, utilization: 0, isNew: true }], 0)
    const second = [...loads(1, 1), { id: 7, utilization: 0, isNew: true }, { id: 8, utilization: 0, isNew: true }]
    const result = planRebalance(memory, second, 300)
    memory = result.memory
    assert.deepEqual(
      result.plans.map(({ source, targets }) => [source, targets.map(({ id }) => id)]),
      [
        [0, [8]],
        [1, [8]]
      ]
    )
    assert.deepEqual(planRebalance(memory, second, 1300).plans, [])
  })

  test('begins at a utilisation of 50 %, 30 % above another worker', () => {
    assert.equal(plansOf(loads(0.5, 0.2), 2)[1]!.length, 1)
    assert.deepEqual(plansOf(loads(0.49, 0), 20).flat(), [])
    assert.deepEqual(plansOf(loads(0.6, 0.31), 20).flat(), [])
  })

  test('lets the busiest worker give first, and the idlest one get first', () => {
    assert.deepEqual(round(plansOf(loads(0.8, 1, 0), 2)[1]!), [
      { source: 1, utilization: 1, keep: 0.6, targets: [{ id: 2, amount: 0.4 }] },
      { source: 0, utilization: 0.8, keep: 0.6, targets: [{ id: 2, amount: 0.2 }] }
    ])
    const [{ targets } = assert.fail()] = round(plansOf(loads(1, 0.3, 0.1, 0.2), 2)[1]!) as RebalancePlan[]
    assert.deepEqual(targets, [
      { id: 2, amount: 0.3 },
      { id: 3, amount: 0.2 },
      { id: 1, amount: 0.1 }
    ])
  })

  test('moves no share of 1 % or less', () => {
    const [{ targets } = assert.fail()] = plansOf(loads(1, 0, 0.49, 0.5), 2)[1]!
    assert.deepEqual(
      targets.map(({ id }) => id),
      [1]
    )
  })

  test('moves nothing to a worker that is nearly as busy as the one that gives', () => {
    const plans = plansOf(loads(0.7, 0.7, 0.7, 0.49, 0), 2)[1]!
    assert.equal(plans.length, 3)
    assert.ok(plans.every(({ targets }) => targets.every(({ id }) => id === 4)))
  })

  test('moves nothing while no worker is busy, or all are alike', () => {
    for (const workers of [loads(0.45, 0), loads(1, 1, 0.8), loads(0.9, 0.65), loads(1)]) {
      assert.deepEqual(plansOf(workers, 20).flat(), [])
    }
  })

  test('counts a heartbeat once, however often it is looked at', () => {
    const workers = loads(1, 0).map((worker) => ({ ...worker, measuredAt: 0 }))
    let memory = NO_MEMORY
    for (let now = 0; now < 5000; now += 250) {
      const result = plan(memory, workers, now)
      memory = result.memory
      assert.deepEqual(result.plans, [])
    }
  })

  test('forgets a difference that does not last', () => {
    let memory = NO_MEMORY
    for (let second = 0; second < 20; second++) {
      const result = planRebalance(memory, second % 2 ? loads(1, 0) : loads(0.2, 0), second * 1000)
      memory = result.memory
      assert.deepEqual(result.plans, [])
    }
  })

  test('begins to count when another worker is less busy, not when a worker becomes busy', () => {
    let { memory } = planRebalance(NO_MEMORY, loads(1, 0.9), 0)
    const counts = [1, 2].map((second) => {
      const result = planRebalance(memory, loads(1, 0), second * 1000)
      memory = result.memory
      return result.plans.length
    })
    assert.deepEqual(counts, [0, 1])
  })

  test('asks a worker for nothing while all that could get it rest', () => {
    let { memory } = planRebalance(NO_MEMORY, loads(1, 0.49, 0), 0)
    const first = planRebalance(memory, loads(1, 0.49, 0), 1000)
    assert.deepEqual(
      first.plans.map(({ source, targets }) => [source, targets.map(({ id }) => id)]),
      [[0, [2]]]
    )
    memory = planRebalance(first.memory, loads(0.5, 1, 0.5), 2000).memory
    assert.deepEqual(planRebalance(memory, loads(0.5, 1, 0.5), 3000).plans, [])
  })

  test('waits after a move until heartbeats show its effect', () => {
    const seconds = plansOf(loads(1, 0), 9).flatMap((plans, second) => (plans.length > 0 ? [second] : []))
    assert.deepEqual(seconds, [1, 4, 7])
  })

  test('asks a worker that moved nothing less and less often, at least once a minute', () => {
    let memory = NO_MEMORY
    const asked: number[] = []
    for (let second = 0; second < 600; second++) {
      const result = planRebalance(memory, loads(1, 0), second * 1000)
      memory = result.memory
      if (result.plans.length === 0) continue
      asked.push(second)
      memory = recordMoves(memory, 0, 0, second * 1000)
    }
    const gaps = asked.slice(1).map((second, i) => second - asked[i]!)
    assert.deepEqual(gaps.slice(0, 5), [3, 6, 12, 24, 48])
    assert.ok(gaps.slice(5).every((gap) => gap === 60))
  })

  test('asks as often as before once a worker has moved something', () => {
    let { memory } = planRebalance(NO_MEMORY, loads(1, 0), 0)
    memory = planRebalance(memory, loads(1, 0), 1000).memory
    for (const moved of [0, 1, 0]) memory = recordMoves(memory, 0, moved, 1000)
    assert.equal(planRebalance(memory, loads(1, 0), 3999).plans.length, 0)
    assert.equal(planRebalance(memory, loads(1, 0), 4000).plans.length, 1)
  })

  test('takes a result that nothing was planned for, from a worker that it does not know', () => {
    assert.equal(recordMoves(NO_MEMORY, 5, 0, 1000).quietUntil.get(5), 4000)
    assert.deepEqual(recordMoves(NO_MEMORY, 5, 1, 1000), NO_MEMORY)
  })

  test('lets the targets of an attempt that moved nothing get connections from others at once', () => {
    let { memory } = planRebalance(NO_MEMORY, loads(1, 0, 0.4), 0)
    memory = planRebalance(memory, loads(1, 0, 0.4), 1000).memory
    memory = recordMoves(memory, 0, 0, 1300)
    memory = planRebalance(memory, loads(1, 0, 1), 2000).memory
    const { plans } = planRebalance(memory, loads(1, 0, 1), 3000)
    assert.deepEqual(
      plans.map(({ source, targets }) => [source, targets.map(({ id }) => id)]),
      [[2, [1]]]
    )
  })

  test('takes a start, when all workers are new, for no reason to hurry', () => {
    const workers = loads(0.9, 0, 0).map((worker) => ({ ...worker, isNew: true }))
    const [first, second] = plansOf(workers, 2)
    assert.deepEqual([first!.length, second!.length], [0, 1])
  })

  test('forgets workers that have left', () => {
    let { memory } = planRebalance(NO_MEMORY, loads(1, 0), 0)
    memory = planRebalance(memory, loads(1, 0), 1000).memory
    memory = recordMoves(memory, 0, 0, 1000)
    memory = planRebalance(memory, [{ id: 9, utilization: 0, isNew: false }], 2000).memory
    assert.deepEqual(
      [memory.streaks.size, memory.quietUntil.size, memory.pauses.size, memory.targets.size],
      [0, 0, 0, 0]
    )
  })
})

describe('the choice of connections', () => {
  const targets = [1, 2, 3].map((id) => ({ id, amount: 0.25 }))
  const shares = { utilization: 1, keep: 0.25, targets }
  const watch = (...requests: number[]) => requests.map((each, connection) => ({ connection, requests: each }))

  test('spreads three busy connections over three workers and leaves idle ones', () => {
    const chosen = chooseConnections(watch(0, 100, 0, 99, 0, 0, 98), shares)
    assert.deepEqual(
      [...chosen],
      [
        [3, 1],
        [6, 2]
      ]
    )
  })

  test('keeps a single busy connection: in another worker it would be as busy', () => {
    assert.equal(chooseConnections(watch(0, 500, 0, 1, 1), shares).get(1), undefined)
  })

  test('gives each worker the load that it lacks, when all connections are alike', () => {
    const counts = [0, 0, 0, 0]
    const chosen = chooseConnections(watch(...new Array(100).fill(1)), shares)
    for (const target of chosen.values()) counts[target]!++
    assert.ok(
      counts.slice(1).every((count) => Math.abs(count - 25) <= 5),
      `${counts}`
    )
  })

  test('chooses a bounded number of 10,000 connections', () => {
    assert.ok(chooseConnections(watch(...new Array(10_000).fill(1)), shares).size <= 256)
  })

  test('chooses none when no connection had a request', () => {
    assert.equal(chooseConnections(watch(0, 0), shares).size, 0)
    assert.equal(chooseConnections([], shares).size, 0)
  })
})
