import { describeScenarios, type Step, serving } from '../helpers/policy-scenario.ts'

/** Worker #1 of slot 0 is replaced by #2 of generation 2, and lingers. */
const lingering: Step[] = [
  ...serving(1),
  ['reload', 'fork #2: slot 0, generation 2'],
  ['ready 2', 'drain #1, transferring'],
  ['settled 1', 'rollout 2 done']
]

/** Worker #3 takes the place of #2, and both old workers linger. */
const twoLinger: Step[] = [
  ...lingering,
  ['500 ms pass'],
  ['reload', 'fork #3: slot 0, generation 3'],
  ['ready 3', 'drain #2, transferring'],
  ['settled 2', 'rollout 3 done']
]

describeScenarios({
  'a lingering worker delays nothing': {
    'the next slot follows when the old worker lingers, and the rollout ends without it': {
      workers: 2,
      steps: [
        ...serving(2),
        ['reload', 'fork #3: slot 0, generation 2'],
        ['ready 3', 'drain #1, transferring'],
        ['settled 1', 'fork #4: slot 1, generation 2'],
        ['ready 4', 'drain #2, transferring'],
        ['left 2', 'rollout 2 done'],
        ['59000 ms pass'],
        ['drained 1'],
        ['left 1']
      ]
    },
    'a rollback does not wait for lingering workers, neither of the old nor of the new release': {
      workers: 2,
      steps: [
        ...serving(2),
        ['reload', 'fork #3: slot 0, generation 2'],
        ['ready 3', 'drain #1, transferring'],
        ['settled 1', 'fork #4: slot 1, generation 2'],
        ['cannot boot 4'],
        ['dies 4', 'fork #5: slot 0, generation 1'],
        ['ready 5', 'drain #3, transferring'],
        ['settled 3', 'rollout 2 failed: no such APP'],
        ['left 3'],
        ['left 1']
      ]
    },
    'a recycled worker lingers in the same way, also while its slot is recycled again': {
      workers: 1,
      steps: [
        ...serving(1),
        ['recycle 1', 'fork #2: slot 0, generation 1'],
        ['ready 2', 'drain #1, transferring'],
        ['settled 1'],
        ['recycle 2', 'fork #3: slot 0, generation 1'],
        ['ready 3', 'drain #2, transferring'],
        ['settled 2']
      ]
    },
    'fewer workers: the worker of the slot that is no longer wanted lingers': {
      workers: 2,
      steps: [
        ...serving(2),
        ['scale 1', 'drain #2, transferring'],
        ['settled 2'],
        ['reload', 'fork #3: slot 0, generation 2'],
        ['ready 3', 'drain #1, transferring'],
        ['left 1', 'rollout 2 done'],
        ['left 2']
      ]
    },
    'a crash of a lingering worker restarts nothing': {
      workers: 1,
      steps: [...lingering, ['dies 1'], ['3600000 ms pass']]
    }
  },
  'a lingering worker has a time limit': {
    'it is killed when it has not exited after LINGER_TIMEOUT': {
      workers: 1,
      steps: [...lingering, ['60499 ms pass'], ['1 ms pass', 'kill #1: drain deadline']]
    },
    'after its drain it has the time of one drain to exit': {
      workers: 1,
      steps: [
        ...lingering,
        ['50000 ms pass'],
        ['drained 1'],
        ['1999 ms pass'],
        ['1 ms pass', 'kill #1: drain deadline']
      ]
    },
    'a worker that has not settled has DRAIN_TIMEOUT only': {
      workers: 1,
      steps: [
        ...serving(1),
        ['reload', 'fork #2: slot 0, generation 2'],
        ['ready 2', 'drain #1, transferring'],
        ['1999 ms pass'],
        ['1 ms pass', 'kill #1: drain deadline']
      ]
    },
    'a silent one is examined, and killed when it hangs': {
      workers: 1,
      limits: { heartbeatMs: 1000, reexamineMs: 1e6 },
      steps: [
        ...serving(1),
        ['reload', 'fork #2: slot 0, generation 2'],
        ['ready 2', 'drain #1, transferring'],
        ['settled 1', 'rollout 2 done'],
        ['silent 1'],
        ['900 ms pass'],
        ['heartbeat 2'],
        ['100 ms pass', 'examine #1: hung'],
        ['hang reported 1', 'kill #1: an endless loop'],
        ['dies 1']
      ]
    },
    'one that has drained may be silent: it writes a heap snapshot': {
      workers: 1,
      limits: { heartbeatMs: 1000 },
      steps: [
        ...serving(1),
        ['snapshot 1', 'fork #2: slot 0, generation 1'],
        ['ready 2', 'drain #1, transferring'],
        ['settled 1'],
        ['drained 1'],
        ['900 ms pass'],
        ['heartbeat 2'],
        ['900 ms pass'],
        ['heartbeat 2']
      ]
    }
  },
  'lingering workers are limited': {
    'of too many, the oldest gets what remains of DRAIN_TIMEOUT, and is killed when it does not exit then': {
      workers: 1,
      limits: { maxLingering: 1 },
      steps: [
        ...lingering,
        ['500 ms pass'],
        ['reload', 'fork #3: slot 0, generation 3'],
        ['ready 3', 'drain #2, transferring'],
        ['settled 2', 'finish #1 in 1000 ms: more than 1 workers linger', 'rollout 3 done'],
        ['1499 ms pass'],
        ['1 ms pass', 'kill #1: drain deadline']
      ]
    },
    'without a setting, twice as many linger as are wanted': {
      workers: 1,
      steps: [
        ...twoLinger,
        ['5000 ms pass'],
        ['reload', 'fork #4: slot 0, generation 4'],
        ['ready 4', 'drain #3, transferring'],
        ['settled 3', 'finish #1 in 0 ms: more than 2 workers linger', 'rollout 4 done']
      ]
    },
    'the oldest is the one that has drained for the longest time, whichever was started first': {
      workers: 2,
      limits: { maxLingering: 1 },
      steps: [
        ...serving(2),
        ['recycle 2', 'fork #3: slot 1, generation 1'],
        ['ready 3', 'drain #2, transferring'],
        ['settled 2'],
        ['500 ms pass'],
        ['recycle 1', 'fork #4: slot 0, generation 1'],
        ['ready 4', 'drain #1, transferring'],
        ['settled 1', 'finish #2 in 1000 ms: more than 1 workers linger']
      ]
    },
    'when they need too much memory together, the oldest ends': {
      workers: 1,
      limits: { maxLingeringBytes: 250e6 },
      steps: [
        ...twoLinger,
        ['heartbeat 1 of MB 150'],
        ['heartbeat 2 of MB 100'],
        ['heartbeat 2 of MB 101', 'finish #1 in 1000 ms: lingering workers need too much memory'],
        ['heartbeat 2 of MB 102']
      ]
    },
    'a worker that needs too much memory alone ends, too': {
      workers: 1,
      limits: { maxLingeringBytes: 250e6 },
      steps: [...lingering, ['heartbeat 1 of MB 251', 'finish #1 in 1500 ms: lingering workers need too much memory']]
    },
    'with 0 there is no limit': {
      workers: 1,
      limits: { maxLingering: 0 },
      steps: [
        ...twoLinger,
        ['heartbeat 1 of MB 1000000'],
        ['reload', 'fork #4: slot 0, generation 4'],
        ['ready 4', 'drain #3, transferring'],
        ['settled 3', 'rollout 4 done']
      ]
    }
  },
  'a stop ends lingering workers, too': {
    'each has DRAIN_TIMEOUT from then on': {
      workers: 1,
      steps: [
        ...lingering,
        ['30000 ms pass'],
        ['stop'],
        ['port closed', 'finish #1 in 1500 ms: the service stops', 'drain #2'],
        ['1999 ms pass'],
        ['1 ms pass', 'kill #1: drain deadline', 'kill #2: drain deadline'],
        ['dies 1'],
        ['dies 2', 'exit drained: every worker has left']
      ]
    },
    'one with less time left keeps that': {
      workers: 1,
      limits: { maxLingering: 1 },
      steps: [
        ...lingering,
        ['reload', 'fork #3: slot 0, generation 3'],
        ['ready 3', 'drain #2, transferring'],
        ['settled 2', 'finish #1 in 1500 ms: more than 1 workers linger', 'rollout 3 done'],
        ['700 ms pass'],
        ['stop'],
        ['port closed', 'finish #1 in 800 ms: the service stops', 'finish #2 in 1500 ms: the service stops', 'drain #3']
      ]
    }
  }
})
