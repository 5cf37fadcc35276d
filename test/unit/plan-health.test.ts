import { describeScenarios, serving } from '../helpers/policy-scenario.ts'

const heartbeatMs = 5000

describeScenarios({
  'a worker that hangs is found and replaced': {
    'a silent worker that hangs is replaced at once, and killed after its hang report is written': {
      workers: 2,
      limits: { heartbeatMs },
      steps: [
        ...serving(2),
        ['4000 ms pass'],
        ['heartbeat 1'],
        ['silent 2'],
        ['1000 ms pass', 'examine #2: hung', 'fork #3: slot 1, generation 1'],
        ['heartbeat 1'],
        ['heartbeat 2'],
        ['hang reported 2', 'kill #2: an endless loop'],
        ['dies 2'],
        ['ready 3']
      ]
    },
    'a silent worker that is starved of CPU is examined repeatedly and never killed': {
      workers: 1,
      limits: { heartbeatMs },
      steps: [
        ...serving(1),
        ['4999 ms pass'],
        ['1 ms pass', 'examine #1: starved'],
        ['249 ms pass'],
        ['1 ms pass', 'examine #1: starved'],
        ['250 ms pass', 'examine #1: starved'],
        ['heartbeat 1'],
        ['4999 ms pass'],
        ['silent 1'],
        ['1 ms pass', 'examine #1: hung', 'fork #2: slot 0, generation 1']
      ]
    },
    'a worker that starts or drains is not examined': {
      workers: 2,
      limits: { heartbeatMs: 300 },
      steps: [
        ['start', 'fork #1: slot 0, generation 1', 'fork #2: slot 1, generation 1'],
        ['400 ms pass'],
        ['ready 1'],
        ['ready 2'],
        ['scale 1', 'drain #2, transferring'],
        ['200 ms pass'],
        ['heartbeat 1'],
        ['200 ms pass'],
        ['heartbeat 1'],
        ['left 2']
      ]
    },
    'without a heartbeat timeout no worker is examined': {
      workers: 1,
      steps: [...serving(1), ['3600000 ms pass']]
    },
    'a hung worker of a new release fails the rollout': {
      workers: 1,
      limits: { heartbeatMs, canaryMs: 10_000 },
      steps: [
        ...serving(1),
        ['reload', 'fork #2: slot 0, generation 2'],
        ['ready 2'],
        ['4000 ms pass'],
        ['heartbeat 1'],
        ['silent 2'],
        ['1000 ms pass', 'examine #2: hung'],
        ['hang reported 2', 'kill #2: an endless loop'],
        ['dies 2', 'rollout 2 failed: worker 0 of it did not last (exit code 1)'],
        ['heartbeat 1']
      ]
    }
  },
  'a worker that exceeds a limit is replaced after its successor is ready': {
    'memory: after three heartbeats in a row above the limit': {
      workers: 2,
      limits: { maxMemoryBytes: 200e6 },
      steps: [
        ...serving(2),
        ['heartbeat 1 of MB 201'],
        ['heartbeat 1 of MB 201'],
        ['heartbeat 1 of MB 200'],
        ['heartbeat 1 of MB 201'],
        ['heartbeat 1 of MB 201'],
        ['30000 ms pass'],
        ['heartbeat 1 of MB 201', 'fork #3: slot 0, generation 1'],
        ['ready 3', 'drain #1, transferring'],
        ['left 1'],
        ['3600000 ms pass']
      ]
    },
    'only one worker is replaced at a time': {
      workers: 2,
      limits: { maxRequests: 1000 },
      steps: [
        ...serving(2),
        ['30000 ms pass'],
        ['heartbeat 1 of requests 999'],
        ['heartbeat 2 of requests 1000', 'fork #3: slot 1, generation 1'],
        ['heartbeat 1 of requests 1000'],
        ['ready 3', 'drain #2, transferring'],
        ['left 2', 'fork #4: slot 0, generation 1'],
        ['ready 4', 'drain #1, transferring'],
        ['left 1']
      ]
    },
    'age: at the limit': {
      workers: 1,
      limits: { maxAgeMs: 60_000 },
      steps: [
        ...serving(1),
        ['59999 ms pass'],
        ['1 ms pass', 'fork #2: slot 0, generation 1'],
        ['500 ms pass'],
        ['ready 2', 'drain #1, transferring'],
        ['left 1'],
        ['59499 ms pass'],
        ['1 ms pass'],
        ['500 ms pass', 'fork #3: slot 0, generation 1']
      ]
    },
    'age: counted from the time when the worker is ready': {
      workers: 1,
      limits: { maxAgeMs: 500 },
      steps: [
        ['start', 'fork #1: slot 0, generation 1'],
        ['600 ms pass'],
        ['ready 1'],
        ['499 ms pass'],
        ['1 ms pass', 'fork #2: slot 0, generation 1']
      ]
    },
    'on request of an operator': {
      workers: 2,
      steps: [
        ...serving(2),
        ['recycle 2', 'fork #3: slot 1, generation 1'],
        ['ready 3', 'drain #2, transferring'],
        ['left 2'],
        ['3600000 ms pass']
      ]
    },
    'each successor that soon exceeds a limit waits longer': {
      workers: 1,
      limits: { maxRequests: 10 },
      steps: [
        ...serving(1),
        ['heartbeat 1 of requests 10', 'fork #2: slot 0, generation 1'],
        ['ready 2', 'drain #1, transferring'],
        ['left 1'],
        ['heartbeat 2 of requests 10', 'fork #3: slot 0, generation 1'],
        ['ready 3', 'drain #2, transferring'],
        ['left 2'],
        ['heartbeat 3 of requests 10'],
        ['49 ms pass'],
        ['1 ms pass', 'fork #4: slot 0, generation 1']
      ]
    },
    'a worker that has served for 30 s before it exceeded a limit counts as the first one': {
      workers: 1,
      limits: { maxRequests: 10 },
      steps: [
        ...serving(1),
        ['heartbeat 1 of requests 10', 'fork #2: slot 0, generation 1'],
        ['5000 ms pass unnoticed'],
        ['ready 2', 'drain #1, transferring'],
        ['left 1'],
        ['30000 ms pass'],
        ['heartbeat 2 of requests 10', 'fork #3: slot 0, generation 1'],
        ['ready 3', 'drain #2, transferring'],
        ['left 2'],
        ['heartbeat 3 of requests 10', 'fork #4: slot 0, generation 1'],
        ['ready 4', 'drain #3, transferring'],
        ['left 3'],
        ['heartbeat 4 of requests 10'],
        ['49 ms pass'],
        ['1 ms pass', 'fork #5: slot 0, generation 1']
      ]
    },
    'the old worker serves until a successor boots': {
      workers: 1,
      steps: [
        ...serving(1),
        ['recycle 1', 'fork #2: slot 0, generation 1'],
        ['dies 2', 'fork #3: slot 0, generation 1'],
        ['dies 3'],
        ['100 ms pass', 'fork #4: slot 0, generation 1'],
        ['ready 4', 'drain #1, transferring'],
        ['left 1']
      ]
    },
    'a reload includes workers that are being recycled': {
      workers: 2,
      steps: [
        ...serving(2),
        ['recycle 2', 'fork #3: slot 1, generation 1'],
        ['reload'],
        ['ready 3', 'drain #2, transferring'],
        ['left 2', 'fork #4: slot 0, generation 2'],
        ['ready 4', 'drain #1, transferring'],
        ['left 1', 'fork #5: slot 1, generation 2'],
        ['ready 5', 'drain #3, transferring'],
        ['left 3', 'rollout 2 done']
      ]
    }
  },
  'the service does not end in a crash loop while any worker serves': {
    'one slot of two is tried again with growing pauses': {
      workers: 2,
      limits: { slotAttempts: 3 },
      steps: [
        ...serving(2),
        ['dies 2', 'fork #3: slot 1, generation 1'],
        ['dies 3'],
        ['100 ms pass', 'fork #4: slot 1, generation 1'],
        ['dies 4'],
        ['200 ms pass', 'fork #5: slot 1, generation 1'],
        ['dies 5'],
        ['400 ms pass', 'fork #6: slot 1, generation 1']
      ]
    },
    'the service ends when every slot has failed too often': {
      workers: 1,
      limits: { slotAttempts: 3 },
      steps: [
        ...serving(1),
        ['dies 1', 'fork #2: slot 0, generation 1'],
        ['ready 2'],
        ['dies 2'],
        ['100 ms pass', 'fork #3: slot 0, generation 1'],
        ['ready 3'],
        ['dies 3', 'exit crash-loop: every worker failed 3 times in a row']
      ]
    },
    'not even for a moment: while one slot waits, the worker of another one may be replaced at once': {
      workers: 2,
      limits: { slotAttempts: 2 },
      steps: [
        ...serving(2),
        ['dies 1', 'fork #3: slot 0, generation 1'],
        ['dies 3'],
        ['dies 2', 'fork #4: slot 1, generation 1']
      ]
    },
    'the exit says crash-loop when some workers crash and others do not boot': {
      workers: 2,
      limits: { slotAttempts: 2 },
      steps: [
        ...serving(2),
        ['dies 1', 'fork #3: slot 0, generation 1'],
        ['dies 2', 'fork #4: slot 1, generation 1'],
        ['ready 3'],
        ['dies 3'],
        ['dies 4', 'exit crash-loop: every worker failed 2 times in a row']
      ]
    },
    'the exit says cannot-boot when no worker boots any more': {
      workers: 2,
      limits: { slotAttempts: 2 },
      steps: [
        ...serving(2),
        ['dies 1', 'fork #3: slot 0, generation 1'],
        ['dies 2', 'fork #4: slot 1, generation 1'],
        ['dies 3'],
        ['dies 4', 'exit cannot-boot: every worker failed 2 times in a row']
      ]
    }
  },
  'a failed fork is tried again': {
    'like a worker that did not boot': {
      workers: 2,
      steps: [
        ...serving(2),
        ['dies 2', 'fork #3: slot 1, generation 1'],
        ['no process for 1'],
        ['dies 3'],
        ['200 ms pass', 'fork #4: slot 1, generation 1']
      ]
    }
  }
})
