import { serving, tell } from '../helpers/policy-scenario.ts'

const heartbeatMs = 5000

tell({
  'a worker that hangs is found and replaced': {
    'one that is silent for too long is looked at; found to hang, it counts as gone at once and is killed once its black box is closed':
      {
        workers: 2,
        limits: { heartbeatMs },
        story: [
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
    'one that is only starved is looked at again and again, and never killed for it': {
      workers: 1,
      limits: { heartbeatMs },
      story: [
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
    'one that starts or drains has deadlines of its own': {
      workers: 2,
      limits: { heartbeatMs: 300 },
      story: [
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
    'with the time-out switched off nobody is ever looked at': {
      workers: 1,
      story: [...serving(1), ['3600000 ms pass']]
    },
    'a new worker that hangs while it is rolled out ends the roll': {
      workers: 1,
      limits: { heartbeatMs, canaryMs: 10_000 },
      story: [
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
  'a worker that outgrows its limits is replaced, a new one first': {
    'too much memory, three heartbeats in a row': {
      workers: 2,
      limits: { maxMemoryBytes: 200e6 },
      story: [
        ...serving(2),
        ['heartbeat 1 of MB 201'],
        ['heartbeat 1 of MB 201'],
        ['heartbeat 1 of MB 199'],
        ['heartbeat 1 of MB 201'],
        ['heartbeat 1 of MB 201'],
        ['30000 ms pass'],
        ['heartbeat 1 of MB 201', 'fork #3: slot 0, generation 1'],
        ['ready 3', 'drain #1, transferring'],
        ['left 1'],
        ['3600000 ms pass']
      ]
    },
    'one at a time': {
      workers: 2,
      limits: { maxRequests: 1000 },
      story: [
        ...serving(2),
        ['30000 ms pass'],
        ['heartbeat 2 of requests 1000', 'fork #3: slot 1, generation 1'],
        ['heartbeat 1 of requests 1000'],
        ['ready 3', 'drain #2, transferring'],
        ['left 2', 'fork #4: slot 0, generation 1'],
        ['ready 4', 'drain #1, transferring'],
        ['left 1']
      ]
    },
    'too old': {
      workers: 1,
      limits: { maxAgeMs: 60_000 },
      story: [
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
    'somebody asked for it': {
      workers: 2,
      story: [
        ...serving(2),
        ['recycle 2', 'fork #3: slot 1, generation 1'],
        ['ready 3', 'drain #2, transferring'],
        ['left 2'],
        ['3600000 ms pass']
      ]
    },
    'one whose successor outgrows them soon waits longer each time': {
      workers: 1,
      limits: { maxRequests: 10 },
      story: [
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
    'a successor that does not boot leaves the old one serving': {
      workers: 1,
      story: [
        ...serving(1),
        ['recycle 1', 'fork #2: slot 0, generation 1'],
        ['dies 2', 'fork #3: slot 0, generation 1'],
        ['dies 3'],
        ['100 ms pass', 'fork #4: slot 0, generation 1'],
        ['ready 4', 'drain #1, transferring'],
        ['left 1']
      ]
    },
    'a reload that comes meanwhile does it along the way': {
      workers: 2,
      story: [
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
  'a crash loop is held, not given up, while any worker serves': {
    'one slot of two': {
      workers: 2,
      limits: { slotAttempts: 3 },
      story: [
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
    'every slot: the service ends, so that who started it sees it': {
      workers: 1,
      limits: { slotAttempts: 3 },
      story: [
        ...serving(1),
        ['dies 1', 'fork #2: slot 0, generation 1'],
        ['ready 2'],
        ['dies 2'],
        ['100 ms pass', 'fork #3: slot 0, generation 1'],
        ['ready 3'],
        ['dies 3', 'exit crash-loop: every worker failed 3 times in a row']
      ]
    },
    'every slot, and none of them even boots': {
      workers: 2,
      limits: { slotAttempts: 2 },
      story: [
        ...serving(2),
        ['dies 1', 'fork #3: slot 0, generation 1'],
        ['dies 2', 'fork #4: slot 1, generation 1'],
        ['dies 3'],
        ['dies 4', 'exit cannot-boot: every worker failed 2 times in a row']
      ]
    }
  },
  'a process that cannot be made is tried again': {
    'as a worker that did not boot': {
      workers: 2,
      story: [
        ...serving(2),
        ['dies 2', 'fork #3: slot 1, generation 1'],
        ['no process for 1'],
        ['dies 3'],
        ['200 ms pass', 'fork #4: slot 1, generation 1']
      ]
    }
  }
})
