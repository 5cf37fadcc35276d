import { describeScenarios, type Step, serving } from '../helpers/policy-scenario.ts'

/** Slot 0 of two runs generation 2 (#3), and the new worker of slot 1 (#4) is starting. */
const halfRolled: Step[] = [
  ...serving(2),
  ['reload', 'fork #3: slot 0, generation 2'],
  ['ready 3', 'drain #1, transferring'],
  ['left 1', 'fork #4: slot 1, generation 2']
]

/** The rollback of slot 0 meets a machine that creates no process for a while. */
const withoutProcesses = (how: 'at once' | 'later', next: number): Step[] => [
  ...halfRolled,
  [`forks fail ${how}`],
  ['dies 4', ...Array<string>(2).fill('no process for slot 0, generation 1')],
  ['99 ms pass'],
  ['1 ms pass', 'no process for slot 0, generation 1'],
  ['200 ms pass', 'no process for slot 0, generation 1'],
  ['forks succeed'],
  ['399 ms pass'],
  ['1 ms pass', `fork #${next}: slot 0, generation 1`],
  [`ready ${next}`, 'drain #3, transferring'],
  ['left 3', 'rollout 2 failed: worker 1 ended before it was ready (exit code 1)'],
  ['3600000 ms pass']
]

describeScenarios({
  'a rollback goes on until processes can be created, with pauses, and no slot stays on the new release': {
    'when forks fail at once': { workers: 2, steps: withoutProcesses('at once', 5) },
    'when forks fail later': { workers: 2, steps: withoutProcesses('later', 9) }
  },
  'a release that cannot boot never replaces one that serves': {
    'a worker that exits during boot fails the rollout, and the old worker stays': {
      workers: 2,
      steps: [
        ...serving(2),
        ['reload', 'fork #3: slot 0, generation 2'],
        ['dies 3', 'rollout 2 failed: worker 0 ended before it was ready (exit code 1)'],
        ['3600000 ms pass']
      ]
    },
    'the outcome has the reason why a worker cannot boot': {
      workers: 2,
      steps: [
        ...serving(2),
        ['reload', 'fork #3: slot 0, generation 2'],
        ['cannot boot 3'],
        ['dies 3', 'rollout 2 failed: no such APP'],
        ['3600000 ms pass']
      ]
    },
    'a worker that is not ready in time is killed, and no other': {
      workers: 2,
      steps: [
        ...serving(2),
        ['reload', 'fork #3: slot 0, generation 2'],
        ['1000 ms pass', 'kill #3: not ready in 1000 ms'],
        ['dies 3', 'rollout 2 failed: worker 0 was not ready in 1000 ms'],
        ['3600000 ms pass']
      ]
    },
    'slots that were replaced already are rolled back, each after its successor is ready': {
      workers: 2,
      steps: [
        ...halfRolled,
        ['dies 4', 'fork #5: slot 0, generation 1'],
        ['ready 5', 'drain #3, transferring'],
        ['left 3', 'rollout 2 failed: worker 1 ended before it was ready (exit code 1)'],
        ['dies 2'],
        ['100 ms pass', 'fork #6: slot 1, generation 1'],
        ['ready 6'],
        ['3600000 ms pass']
      ]
    },
    'a new worker that crashes after it was ready fails the rollout too': {
      workers: 2,
      steps: [
        ...halfRolled,
        ['dies 3', 'kill #4: its rollout failed', 'fork #5: slot 0, generation 1'],
        ['dies 4', 'rollout 2 failed: worker 0 of it did not last (exit code 1)'],
        ['ready 5'],
        ['3600000 ms pass']
      ]
    },
    'the canary serves beside the old worker, which stays if the canary crashes': {
      workers: 2,
      limits: { canaryMs: 1000 },
      steps: [
        ...serving(2),
        ['1000 ms pass'],
        ['reload', 'fork #3: slot 0, generation 2'],
        ['ready 3'],
        ['999 ms pass'],
        ['dies 3', 'rollout 2 failed: worker 0 of it did not last (exit code 1)'],
        ['reload', 'fork #4: slot 0, generation 3'],
        ['ready 4'],
        ['1000 ms pass', 'drain #1, transferring'],
        ['left 1', 'fork #5: slot 1, generation 3'],
        ['ready 5', 'drain #2, transferring'],
        ['left 2', 'rollout 3 done']
      ]
    },
    'a slot is rolled back at once, whatever its pause': {
      workers: 2,
      steps: [
        ...serving(2),
        ['reload', 'fork #3: slot 0, generation 2'],
        ['dies 3', 'rollout 2 failed: worker 0 ended before it was ready (exit code 1)'],
        ['reload', 'fork #4: slot 0, generation 3'],
        ['dies 4', 'rollout 3 failed: worker 0 ended before it was ready (exit code 1)'],
        ['reload', 'fork #5: slot 0, generation 4'],
        ['ready 5', 'drain #1, transferring'],
        ['left 1', 'fork #6: slot 1, generation 4'],
        ['code changes', 'kill #6: its rollout failed'],
        ['dies 6', 'fork #7: slot 0, generation 1'],
        ['ready 7', 'drain #5, transferring'],
        ['left 5', 'rollout 4 failed: the code on disk changed']
      ]
    },
    'an old worker that is to be recycled stays when the canary beside it fails': {
      workers: 1,
      limits: { canaryMs: 1000 },
      steps: [
        ...serving(1),
        ['1000 ms pass'],
        ['reload', 'fork #2: slot 0, generation 2'],
        ['ready 2'],
        ['recycle 1'],
        ['code changes', 'drain #2, transferring'],
        ['left 2', 'fork #3: slot 0, generation 1', 'rollout 2 failed: the code on disk changed'],
        ['ready 3', 'drain #1, transferring']
      ]
    },
    'a rollback begins when the worker that failed has exited, also where its slot is empty': {
      workers: 2,
      steps: [
        ...halfRolled,
        ['dies 2'],
        ['code changes', 'kill #4: its rollout failed', 'fork #5: slot 1, generation 1'],
        ['dies 4', 'fork #6: slot 0, generation 1']
      ]
    },
    'the rollout fails when the code on disk changes': {
      workers: 2,
      steps: [
        ...halfRolled,
        ['code changes', 'kill #4: its rollout failed'],
        ['dies 4', 'fork #5: slot 0, generation 1'],
        ['ready 5', 'drain #3, transferring'],
        ['left 3', 'rollout 2 failed: the code on disk changed']
      ]
    },
    'a slot that only a worker of the failed release was to serve gets one of the old release at once': {
      workers: 1,
      steps: [
        ...serving(1),
        ['reload', 'fork #2: slot 0, generation 2'],
        ['dies 1'],
        ['code changes', 'kill #2: its rollout failed', 'fork #3: slot 0, generation 1'],
        ['dies 2', 'rollout 2 failed: the code on disk changed']
      ]
    },
    'a failure of the new release counts as none of the old one': {
      workers: 2,
      steps: [
        ...halfRolled,
        ['cannot boot 4'],
        ['dies 4', 'fork #5: slot 0, generation 1'],
        ['dies 5', 'fork #6: slot 0, generation 1'],
        ['dies 6'],
        ['100 ms pass', 'fork #7: slot 0, generation 1'],
        ['ready 7', 'drain #3, transferring']
      ]
    },
    'where no other worker serves, the old release is forked as soon as the new one says that it cannot boot': {
      workers: 1,
      steps: [
        ...serving(1),
        ['reload', 'fork #2: slot 0, generation 2'],
        ['dies 1'],
        ['cannot boot 2', 'fork #3: slot 0, generation 1']
      ]
    },
    'a rollback gives up after three boot failures of the old release': {
      workers: 2,
      steps: [
        ...halfRolled,
        ['dies 4', 'fork #5: slot 0, generation 1'],
        ['dies 5', 'fork #6: slot 0, generation 1'],
        ['dies 6'],
        ['100 ms pass', 'fork #7: slot 0, generation 1'],
        [
          'dies 7',
          'rollout 2 failed: worker 1 ended before it was ready (exit code 1); the release before it does not boot any more: slot 0 stays on the new one'
        ],
        ['3600000 ms pass']
      ]
    },
    'a reload requested during a failed rollout starts a new rollout': {
      workers: 1,
      steps: [
        ...serving(1),
        ['reload', 'fork #2: slot 0, generation 2'],
        ['reload'],
        [
          'dies 2',
          'rollout 2 failed: worker 0 ended before it was ready (exit code 1)',
          'fork #3: slot 0, generation 3'
        ],
        ['ready 3', 'drain #1, transferring'],
        ['left 1', 'rollout 3 done']
      ]
    },
    'a reload requested during a rollback starts after it': {
      workers: 2,
      steps: [
        ...halfRolled,
        ['dies 4', 'fork #5: slot 0, generation 1'],
        ['reload'],
        ['ready 5', 'drain #3, transferring'],
        [
          'left 3',
          'rollout 2 failed: worker 1 ended before it was ready (exit code 1)',
          'fork #6: slot 0, generation 3'
        ]
      ]
    },
    'a stop ends a rollback': {
      workers: 2,
      steps: [
        ...halfRolled,
        ['dies 4', 'fork #5: slot 0, generation 1'],
        ['stop', 'rollout 2 stopped: the service stops'],
        ['ready 5'],
        ['port closed', 'drain #2', 'drain #3', 'drain #5']
      ]
    }
  }
})
