import { describeScenarios, serving } from '../helpers/policy-scenario.ts'

describeScenarios({
  'a rollout replaces several slots at a time': {
    'once its first worker has served for the canary time': {
      workers: 4,
      limits: { surge: 2, canaryMs: 1000 },
      steps: [
        ...serving(4),
        ['reload', 'fork #5: slot 0, generation 2'],
        ['ready 5'],
        ['999 ms pass'],
        // The second slot begins while the old worker of the first one drains.
        ['1 ms pass', 'drain #1, transferring', 'fork #6: slot 1, generation 2'],
        ['left 1', 'fork #7: slot 2, generation 2'],
        ['ready 7', 'drain #3, transferring'],
        ['left 3', 'fork #8: slot 3, generation 2'],
        ['ready 8', 'drain #4, transferring'],
        ['left 4'],
        ['ready 6', 'drain #2, transferring'],
        ['left 2', 'rollout 2 done']
      ]
    },
    'at once when an operator promotes it': {
      workers: 3,
      limits: { surge: 2, canaryMs: 1000 },
      steps: [
        ...serving(3),
        ['reload', 'fork #4: slot 0, generation 2'],
        ['ready 4'],
        ['promote', 'drain #1, transferring', 'fork #5: slot 1, generation 2'],
        ['left 1', 'fork #6: slot 2, generation 2']
      ]
    },
    'only while there is memory for one more worker, as large as the largest one': {
      workers: 3,
      limits: { surge: 3, surgeBytes: 460e6 },
      steps: [
        ...serving(3),
        ['heartbeat 1 of MB 50'],
        ['heartbeat 2 of MB 100'],
        ['heartbeat 3 of MB 100'],
        ['reload', 'fork #4: slot 0, generation 2'],
        // 350 MB with the new one, which counts as 100: one more has room, and then no other one.
        ['ready 4', 'drain #1, transferring', 'fork #5: slot 1, generation 2'],
        ['heartbeat 4 of MB 60'],
        ['left 1', 'fork #6: slot 2, generation 2']
      ]
    },
    'and where there is no memory, one after another all the same': {
      workers: 2,
      limits: { surge: 2, surgeBytes: 1 },
      steps: [
        ...serving(2),
        ['heartbeat 1 of MB 50'],
        ['reload', 'fork #3: slot 0, generation 2'],
        ['ready 3', 'drain #1, transferring'],
        ['left 1', 'fork #4: slot 1, generation 2']
      ]
    },
    'if one of them cannot boot, the others that start are ended, and those that serve are rolled back together': {
      workers: 4,
      limits: { surge: 3 },
      steps: [
        ...serving(4),
        ['reload', 'fork #5: slot 0, generation 2'],
        ['ready 5', 'drain #1, transferring', 'fork #6: slot 1, generation 2', 'fork #7: slot 2, generation 2'],
        ['left 1', 'fork #8: slot 3, generation 2'],
        ['ready 6', 'drain #2, transferring'],
        ['dies 7', 'kill #8: its rollout failed', 'fork #9: slot 0, generation 1'],
        ['left 2', 'fork #10: slot 1, generation 1']
      ]
    },
    'a slot whose worker crashes meanwhile gets the new release if it is one of the next, and the old one if it comes later':
      {
        workers: 4,
        limits: { surge: 2 },
        steps: [
          ...serving(4),
          ['reload', 'fork #5: slot 0, generation 2'],
          ['ready 5', 'drain #1, transferring', 'fork #6: slot 1, generation 2'],
          ['dies 3', 'fork #7: slot 2, generation 2'],
          ['dies 4', 'fork #8: slot 3, generation 1'],
          ['ready 8'],
          ['ready 6', 'drain #2, transferring'],
          ['left 1', 'fork #9: slot 3, generation 2'],
          ['ready 7'],
          ['ready 9', 'drain #8, transferring'],
          ['left 2'],
          ['left 8', 'rollout 2 done']
        ]
      },
    'but workers are recycled one after another': {
      workers: 2,
      limits: { surge: 2 },
      steps: [
        ...serving(2),
        ['recycle 1', 'fork #3: slot 0, generation 1'],
        ['recycle 2'],
        ['ready 3', 'drain #1, transferring'],
        ['left 1', 'fork #4: slot 1, generation 1']
      ]
    }
  }
})
