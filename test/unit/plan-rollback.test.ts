import { type Step, serving, tell } from '../helpers/policy-scenario.ts'

/** Slot 0 of two has been rolled to generation 2 (#3), and the candidate of slot 1 (#4) is starting. */
const halfRolled: Step[] = [
  ...serving(2),
  ['reload', 'fork #3: slot 0, generation 2'],
  ['ready 3', 'drain #1, transferring'],
  ['left 1', 'fork #4: slot 1, generation 2']
]

tell({
  'a release that cannot boot never replaces one that serves': {
    'its worker dies: the roll fails, the old one stays, nothing is tried again': {
      workers: 2,
      story: [
        ...serving(2),
        ['reload', 'fork #3: slot 0, generation 2'],
        ['dies 3', 'rollout 2 failed: worker 0 ended before it was ready (exit code 1)'],
        ['3600000 ms pass']
      ]
    },
    'its worker says why it cannot boot: that is why the roll failed': {
      workers: 2,
      story: [
        ...serving(2),
        ['reload', 'fork #3: slot 0, generation 2'],
        ['cannot boot 3'],
        ['dies 3', 'rollout 2 failed: no such APP'],
        ['3600000 ms pass']
      ]
    },
    'its worker hangs: it alone is killed': {
      workers: 2,
      story: [
        ...serving(2),
        ['reload', 'fork #3: slot 0, generation 2'],
        ['1000 ms pass', 'kill #3: not ready in 1000 ms'],
        ['dies 3', 'rollout 2 failed: worker 0 was not ready in 1000 ms'],
        ['3600000 ms pass']
      ]
    },
    'in the middle of a roll: what is rolled already goes back, a new worker first': {
      workers: 2,
      story: [
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
    'a worker of it that served and died is a failure too': {
      workers: 2,
      story: [
        ...halfRolled,
        ['dies 3', 'kill #4: its rollout failed', 'fork #5: slot 0, generation 1'],
        ['dies 4', 'rollout 2 failed: worker 0 of it did not last (exit code 1)'],
        ['ready 5'],
        ['3600000 ms pass']
      ]
    },
    'the first worker of it serves beside the old one for a moment; one that dies then has replaced nobody': {
      workers: 2,
      limits: { canaryMs: 1000 },
      story: [
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
    'code that changes on disk while it is rolled out ends the roll': {
      workers: 2,
      story: [
        ...halfRolled,
        ['code changes', 'kill #4: its rollout failed'],
        ['dies 4', 'fork #5: slot 0, generation 1'],
        ['ready 5', 'drain #3, transferring'],
        ['left 3', 'rollout 2 failed: the code on disk changed']
      ]
    },
    'where the old release is no longer on disk, what is rolled stays, and that is said': {
      workers: 2,
      story: [
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
        ['left 2', 'rollout 3 done']
      ]
    },
    'where the old release does not boot any more, three tries are enough': {
      workers: 2,
      story: [
        ...halfRolled,
        ['dies 4', 'fork #5: slot 0, generation 1'],
        ['dies 5', 'fork #6: slot 0, generation 1'],
        ['dies 6', 'fork #7: slot 0, generation 1'],
        [
          'dies 7',
          'rollout 2 failed: worker 1 ended before it was ready (exit code 1); the release before it does not boot any more: slot 0 stays on the new one'
        ],
        ['3600000 ms pass']
      ]
    },
    'the next reload is a roll of its own, even one that was asked for meanwhile': {
      workers: 1,
      story: [
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
    'a reload that is asked for on the way back follows when everything is back': {
      workers: 2,
      story: [
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
    'a stop on the way back ends the roll': {
      workers: 2,
      story: [
        ...halfRolled,
        ['dies 4', 'fork #5: slot 0, generation 1'],
        ['stop', 'rollout 2 stopped: the service stops'],
        ['ready 5'],
        ['port closed', 'drain #2', 'drain #3', 'drain #5']
      ]
    }
  }
})
