import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { nextDeadline } from '../../src/primary/policy/plan.ts'
import type { Limits } from '../../src/primary/policy/policy-limits.ts'
import { applyStep, describeScenarios, Scenario, type Step, serving } from '../helpers/policy-scenario.ts'

describeScenarios({
  'every wanted slot has a live worker': {
    'every slot is filled at the start': {
      workers: 3,
      steps: [
        ['start', 'fork #1: slot 0, generation 1', 'fork #2: slot 1, generation 1', 'fork #3: slot 2, generation 1'],
        ['ready 2'],
        ['ready 1'],
        ['ready 3'],
        ['3600000 ms pass']
      ]
    },
    'a worker that crashes is replaced at once, in its slot': {
      workers: 2,
      steps: [...serving(2), ['dies 2', 'fork #3: slot 1, generation 1'], ['ready 3']]
    },
    'each further crash of a slot has a longer pause, which does not affect other slots': {
      workers: 2,
      steps: [
        ...serving(2),
        ['dies 1', 'fork #3: slot 0, generation 1'],
        ['ready 3'],
        ['dies 3'],
        ['99 ms pass'],
        ['dies 2', 'fork #4: slot 1, generation 1'],
        ['1 ms pass', 'fork #5: slot 0, generation 1'],
        ['dies 5'],
        ['199 ms pass'],
        ['1 ms pass', 'fork #6: slot 0, generation 1']
      ]
    },
    'a crash after 30 s of service counts as the first one': {
      workers: 1,
      steps: [
        ...serving(1),
        ['dies 1', 'fork #2: slot 0, generation 1'],
        ['ready 2'],
        ['dies 2'],
        ['100 ms pass', 'fork #3: slot 0, generation 1'],
        ['ready 3'],
        ['30000 ms pass'],
        ['dies 3', 'fork #4: slot 0, generation 1'],
        ['ready 4'],
        ['29999 ms pass'],
        ['dies 4'],
        ['100 ms pass', 'fork #5: slot 0, generation 1']
      ]
    },
    'events about an exited worker change nothing': {
      workers: 1,
      steps: [...serving(1), ['ready 7'], ['dies 7'], ['cannot boot 7'], ['ready 1']]
    }
  },
  'a worker must be ready in time': {
    'a late worker is killed once, and replaced after its exit': {
      workers: 1,
      steps: [
        ['start', 'fork #1: slot 0, generation 1'],
        ['999 ms pass'],
        ['1 ms pass', 'kill #1: not ready in 1000 ms'],
        ['5000 ms pass'],
        ['dies 1', 'fork #2: slot 0, generation 1']
      ]
    },
    'a worker that was ready in time is not killed': {
      workers: 1,
      steps: [['start', 'fork #1: slot 0, generation 1'], ['999 ms pass'], ['ready 1'], ['5000 ms pass']]
    }
  },
  'a service that cannot boot ends with the reason': {
    'after one worker that reports that it cannot boot': {
      workers: 2,
      steps: [
        ['start', 'fork #1: slot 0, generation 1', 'fork #2: slot 1, generation 1'],
        ['cannot boot 2', 'exit cannot-boot: no such APP']
      ]
    },
    'after three workers that exit before they are ready': {
      workers: 1,
      steps: [
        ['start', 'fork #1: slot 0, generation 1'],
        ['dies 1', 'fork #2: slot 0, generation 1'],
        ['dies 2'],
        ['100 ms pass', 'fork #3: slot 0, generation 1'],
        ['dies 3', 'exit cannot-boot: worker 0 ended before it was ready (exit code 1)']
      ]
    },
    'after three workers that are not ready in time': {
      workers: 1,
      steps: [
        ['start', 'fork #1: slot 0, generation 1'],
        ['1000 ms pass', 'kill #1: not ready in 1000 ms'],
        ['dies 1', 'fork #2: slot 0, generation 1'],
        ['1000 ms pass', 'kill #2: not ready in 1000 ms'],
        ['dies 2'],
        ['100 ms pass', 'fork #3: slot 0, generation 1'],
        ['1000 ms pass', 'kill #3: not ready in 1000 ms'],
        ['dies 3', 'exit cannot-boot: worker 0 was not ready in 1000 ms']
      ]
    },
    'but not if a worker was ever ready': {
      workers: 1,
      steps: [
        ...serving(1),
        ['dies 1', 'fork #2: slot 0, generation 1'],
        ['cannot boot 2'],
        ['dies 2'],
        ['100 ms pass', 'fork #3: slot 0, generation 1'],
        ['dies 3'],
        ['200 ms pass', 'fork #4: slot 0, generation 1'],
        ['dies 4'],
        ['400 ms pass', 'fork #5: slot 0, generation 1']
      ]
    }
  }
})

describe('the pause before the next fork', () => {
  /** Crashes slot 0 `times` times, each as soon as it is forked, and returns the waits in between. */
  const waits = (times: number, random: number) => {
    const scenario = new Scenario(1, { slotAttempts: Number.POSITIVE_INFINITY })
    for (const step of serving(1)) applyStep(scenario, step[0])
    return Array.from({ length: times }, () => {
      const forks = scenario.handle({ type: 'exit', id: scenario.lastId, cause: 'SIGSEGV', random })
      if (forks.length > 0) return 0
      const wait = nextDeadline(scenario.state, scenario.limits, scenario.now)! - scenario.now
      assert.equal(scenario.advance(wait).length, 1, 'one fork when the wait is over')
      return wait
    })
  }

  test('doubles from 100 ms to 30 s', () => {
    assert.deepEqual(waits(12, 1), [0, 100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000])
  })

  test('is shortened by the jitter, at most by half, so that hosts do not retry in step', () => {
    assert.deepEqual(waits(12, 0), [0, 50, 100, 200, 400, 800, 1600, 3200, 6400, 12_800, 15_000, 15_000])
    assert.deepEqual(waits(3, 0.5), [0, 75, 150])
  })

  test('stays at 30 s after any number of failures', () => {
    assert.equal(waits(2000, 1).at(-1), 30_000)
  })
})

describe('the next deadline', () => {
  type Story = { workers: number; limits?: Partial<Limits>; steps: Step['0'][]; at: number | undefined }
  const times: Record<string, Story> = {
    'is none while all is well': { workers: 2, steps: ['start', 'ready 1', 'ready 2'], at: undefined },
    'is the end of a boot timeout': { workers: 1, steps: ['300 ms pass', 'start'], at: 1300 },
    'is the end of a drain deadline': {
      workers: 2,
      steps: ['start', 'ready 1', 'ready 2', '500 ms pass', 'scale 1'],
      at: 2500
    },
    'is the end of a pause': {
      workers: 1,
      steps: ['start', 'ready 1', 'dies 1', '10 ms pass', 'dies 2'],
      at: 110
    },
    'is the earliest of several': {
      workers: 2,
      steps: ['start', 'ready 1', 'dies 1', 'dies 3', '50 ms pass', 'scale 3'],
      at: 100
    },
    'is the examination of a worker that stays silent': {
      workers: 1,
      limits: { heartbeatMs: 5000 },
      steps: ['start', '300 ms pass', 'ready 1'],
      at: 5300
    },
    'is the next examination of a worker that is starved of CPU': {
      workers: 1,
      limits: { heartbeatMs: 5000 },
      steps: ['start', 'ready 1', '6000 ms pass'],
      at: 6250
    },
    'is the end of the canary time': {
      workers: 1,
      limits: { canaryMs: 1000 },
      steps: ['start', 'ready 1', '5000 ms pass', 'reload', '300 ms pass', 'ready 2'],
      at: 6300
    },
    'is the maximal age of a worker': {
      workers: 1,
      limits: { maxAgeMs: 60_000 },
      steps: ['start', '300 ms pass', 'ready 1'],
      at: 60_300
    },
    'is the end of a trial': {
      workers: 1,
      limits: { canaryMs: 1000 },
      steps: [
        'start',
        'ready 1',
        'reload',
        'ready 2',
        '500 ms pass',
        'trial begins without control, undecided: continue',
        '1000 ms pass'
      ],
      at: 10_500
    },
    'does not exist for a killed worker': { workers: 1, steps: ['start', '1000 ms pass'], at: undefined },
    'does not exist for a worker that is killed before its time is over': {
      workers: 1,
      steps: ['start', 'ready 1', 'scale 2', 'scale 1'],
      at: undefined
    }
  }
  for (const [name, { workers, limits, steps, at }] of Object.entries(times)) {
    test(name, () => {
      const scenario = new Scenario(workers, limits)
      for (const what of steps) applyStep(scenario, what)
      assert.equal(nextDeadline(scenario.state, scenario.limits, scenario.now), at)
    })
  }
})

test('restarts are counted by reason, and planned exits are not counted', () => {
  const scenario = new Scenario(2)
  const restarts = () => Object.fromEntries(Object.entries(scenario.state.restarts).filter(([, count]) => count > 0))
  for (const step of serving(2)) applyStep(scenario, step[0])
  applyStep(scenario, 'dies 1')
  assert.deepEqual(restarts(), { crash: 1 })
  applyStep(scenario, 'dies 3')
  assert.deepEqual(restarts(), { crash: 1, 'boot-failure': 1 })
  for (const what of ['100 ms pass', '1000 ms pass', 'dies 4'] as const) applyStep(scenario, what)
  const all = { crash: 1, 'boot-failure': 1, 'boot-timeout': 1 }
  assert.deepEqual(restarts(), all)
  for (const what of ['scale 1', 'left 2', 'scale 3', 'scale 1', 'dies 5', 'dies 6'] as const) applyStep(scenario, what)
  assert.deepEqual(restarts(), all, 'workers that were scaled away')
})
