import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { nextDeadline } from '../../src/primary/policy/plan.ts'
import { happen, limits, Scenario, type Step, serving, tell } from '../helpers/policy-scenario.ts'

tell({
  'every wanted slot has a worker that lives': {
    'at the start every slot is filled': {
      workers: 3,
      story: [
        ['start', 'fork #1: slot 0, generation 1', 'fork #2: slot 1, generation 1', 'fork #3: slot 2, generation 1'],
        ['ready 2'],
        ['ready 1'],
        ['ready 3'],
        ['3600000 ms pass']
      ]
    },
    'a worker that crashes is replaced at once, in its slot': {
      workers: 2,
      story: [...serving(2), ['dies 2', 'fork #3: slot 1, generation 1'], ['ready 3']]
    },
    'one that crashes again is waited for, longer each time, and the other slots are not': {
      workers: 2,
      story: [
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
    'a crash after half a minute of service is the first of its slot again': {
      workers: 1,
      story: [
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
    'news of a worker that is gone changes nothing': {
      workers: 1,
      story: [...serving(1), ['ready 7'], ['dies 7'], ['cannot boot 7'], ['ready 1']]
    }
  },
  'a worker must be ready in time': {
    'one that is late is killed, once, and replaced when it is gone': {
      workers: 1,
      story: [
        ['start', 'fork #1: slot 0, generation 1'],
        ['999 ms pass'],
        ['1 ms pass', 'kill #1: not ready in 1000 ms'],
        ['5000 ms pass'],
        ['dies 1', 'fork #2: slot 0, generation 1']
      ]
    },
    'one that was ready in time is left alone': {
      workers: 1,
      story: [['start', 'fork #1: slot 0, generation 1'], ['999 ms pass'], ['ready 1'], ['5000 ms pass']]
    }
  },
  'a service that cannot boot says so instead of trying for ever': {
    'one worker that knows that it cannot boot is enough': {
      workers: 2,
      story: [
        ['start', 'fork #1: slot 0, generation 1', 'fork #2: slot 1, generation 1'],
        ['cannot boot 2', 'exit cannot-boot: no such APP']
      ]
    },
    'workers that die before they are ready are tried three times': {
      workers: 1,
      story: [
        ['start', 'fork #1: slot 0, generation 1'],
        ['dies 1', 'fork #2: slot 0, generation 1'],
        ['dies 2'],
        ['100 ms pass', 'fork #3: slot 0, generation 1'],
        ['dies 3', 'exit cannot-boot: worker 0 ended before it was ready (exit code 1)']
      ]
    },
    'workers that hang before they are ready are tried three times': {
      workers: 1,
      story: [
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
    'a service that has been ready once is tried on': {
      workers: 1,
      story: [
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

describe('the wait before another try', () => {
  /** Crashes slot 0 `times` times, each as soon as it is forked, and returns the waits in between. */
  const waits = (times: number, random: number) => {
    const scenario = new Scenario(1, { slotAttempts: Number.POSITIVE_INFINITY })
    for (const step of serving(1)) happen(scenario, step[0])
    return Array.from({ length: times }, () => {
      const forks = scenario.happens({ type: 'exit', id: scenario.lastId, cause: 'SIGSEGV', random })
      if (forks.length > 0) return 0
      const wait = nextDeadline(scenario.state, scenario.limits, scenario.now)! - scenario.now
      assert.equal(scenario.passes(wait).length, 1, 'one fork when the wait is over')
      return wait
    })
  }

  test('doubles from 100 ms to 30 s', () => {
    assert.deepEqual(waits(12, 1), [0, 100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000])
  })

  test('is cut by the jitter to half of it at most, so that hosts do not try in step', () => {
    assert.deepEqual(waits(12, 0), [0, 50, 100, 200, 400, 800, 1600, 3200, 6400, 12_800, 15_000, 15_000])
    assert.deepEqual(waits(3, 0.5), [0, 75, 150])
  })

  test('stays 30 s however often it happens', () => {
    assert.equal(waits(2000, 1).at(-1), 30_000)
  })
})

describe('the next look at the clock', () => {
  const times: Record<string, { workers: number; story: Step['0'][]; at: number | undefined }> = {
    'is none while all is well': { workers: 2, story: ['start', 'ready 1', 'ready 2'], at: undefined },
    'is when a worker that starts is late': { workers: 1, story: ['300 ms pass', 'start'], at: 1300 },
    'is when a drain is late': {
      workers: 2,
      story: ['start', 'ready 1', 'ready 2', '500 ms pass', 'scale 1'],
      at: 2500
    },
    'is when a slot may be tried again': {
      workers: 1,
      story: ['start', 'ready 1', 'dies 1', '10 ms pass', 'dies 2'],
      at: 110
    },
    'is the first of several': {
      workers: 2,
      story: ['start', 'ready 1', 'dies 1', 'dies 3', '50 ms pass', 'scale 3'],
      at: 100
    },
    'is none for a worker that is killed already': { workers: 1, story: ['start', '1000 ms pass'], at: undefined }
  }
  for (const [name, { workers, story, at }] of Object.entries(times)) {
    test(name, () => {
      const scenario = new Scenario(workers)
      for (const what of story) happen(scenario, what)
      assert.equal(nextDeadline(scenario.state, limits, scenario.now), at)
    })
  }
})

test('restarts are counted by their reason, and a worker that left as it was told is none', () => {
  const scenario = new Scenario(2)
  const restarts = () => Object.fromEntries(Object.entries(scenario.state.restarts).filter(([, count]) => count > 0))
  for (const step of serving(2)) happen(scenario, step[0])
  happen(scenario, 'dies 1')
  assert.deepEqual(restarts(), { crash: 1 })
  happen(scenario, 'dies 3')
  assert.deepEqual(restarts(), { crash: 1, 'boot-failure': 1 })
  for (const what of ['100 ms pass', '1000 ms pass', 'dies 4'] as const) happen(scenario, what)
  const all = { crash: 1, 'boot-failure': 1, 'boot-timeout': 1 }
  assert.deepEqual(restarts(), all)
  for (const what of ['scale 1', 'left 2', 'scale 3', 'scale 1', 'dies 5', 'dies 6'] as const) happen(scenario, what)
  assert.deepEqual(restarts(), all, 'workers that were scaled away')
})
