import { describeScenarios, type Step, serving } from '../helpers/policy-scenario.ts'

/** Slot 0 of two runs generation 2 (#3), and the new worker of slot 1 (#4) is starting. */
const halfRolled: Step[] = [
  ...serving(2),
  ['reload', 'fork #3: slot 0, generation 2'],
  ['ready 3', 'drain #1, transferring'],
  ['left 1', 'fork #4: slot 1, generation 2']
]

describeScenarios({
  'a rollout that fails when the old release is no longer on disk': {
    'replaced slots stay on the new one, and the outcome says so': {
      workers: 2,
      steps: [
        ...halfRolled,
        ['release missing'],
        [
          'dies 4',
          'rollout 2 failed: worker 1 ended before it was ready (exit code 1); the release before it is no longer on disk: slot 0 stays on the new one'
        ],
        ['3600000 ms pass'],
        ['reload', 'fork #5: slot 0, generation 3'],
        ['ready 5', 'drain #3, transferring'],
        ['left 3', 'fork #6: slot 1, generation 3'],
        ['ready 6', 'drain #2, transferring'],
        ['left 2', 'rollout 3 done'],
        ['reload', 'fork #7: slot 0, generation 4'],
        ['ready 7', 'drain #5, transferring'],
        ['left 5', 'fork #8: slot 1, generation 4'],
        ['code changes', 'kill #8: its rollout failed'],
        ['dies 8', 'fork #9: slot 0, generation 3']
      ]
    },
    'the rollout ends when the worker that started has exited, also where its slot is empty for a while': {
      workers: 2,
      steps: [
        ...serving(2),
        ['dies 2', 'fork #3: slot 1, generation 1'],
        ['reload', 'fork #4: slot 0, generation 2'],
        ['ready 4', 'drain #1, transferring'],
        ['left 1', 'fork #5: slot 1, generation 2'],
        ['release missing'],
        ['dies 3'],
        ['code changes', 'kill #5: its rollout failed'],
        [
          'dies 5',
          'rollout 2 failed: the code on disk changed; the release before it is no longer on disk: slot 0 stays on the new one'
        ]
      ]
    },
    'the rollout ends although workers of slots that are no longer wanted still leave': {
      workers: 3,
      steps: [
        ...serving(3),
        ['reload', 'fork #4: slot 0, generation 2'],
        ['ready 4', 'drain #1, transferring'],
        ['left 1', 'fork #5: slot 1, generation 2'],
        ['ready 5', 'drain #2, transferring'],
        ['left 2', 'fork #6: slot 2, generation 2'],
        ['release missing'],
        ['scale 1', 'drain #3, transferring', 'drain #5, transferring', 'kill #6: scaled down'],
        [
          'code changes',
          'rollout 2 failed: the code on disk changed; the release before it is no longer on disk: slot 0 stays on the new one'
        ]
      ]
    },
    'a worker of the old release that starts already takes its slot, although the release is no longer on disk': {
      workers: 2,
      steps: [
        ...halfRolled,
        ['dies 4', 'fork #5: slot 0, generation 1'],
        ['release missing'],
        ['ready 5', 'drain #3, transferring'],
        ['left 3', 'rollout 2 failed: worker 1 ended before it was ready (exit code 1)']
      ]
    }
  }
})
