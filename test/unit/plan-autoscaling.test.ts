import { describeScenarios, serving } from '../helpers/policy-scenario.ts'

describeScenarios({
  'autoscaling and a reload do not fight': {
    'scaling up during a reload: the new slot begins with the old release, and is reloaded in its turn': {
      workers: 2,
      steps: [
        ...serving(2),
        ['reload', 'fork #3: slot 0, generation 2'],
        ['scale 3', 'fork #4: slot 2, generation 1'],
        ['ready 4'],
        ['ready 3', 'drain #1, transferring'],
        ['left 1', 'fork #5: slot 1, generation 2'],
        ['ready 5', 'drain #2, transferring'],
        ['left 2', 'fork #6: slot 2, generation 2'],
        ['ready 6', 'drain #4, transferring'],
        ['left 4', 'rollout 2 done']
      ]
    },
    'a reload that fails leaves the new slot on the old release': {
      workers: 1,
      steps: [
        ...serving(1),
        ['reload', 'fork #2: slot 0, generation 2'],
        ['scale 2', 'fork #3: slot 1, generation 1'],
        ['cannot boot 2'],
        ['ready 3'],
        ['dies 2', 'rollout 2 failed: no such APP']
      ]
    }
  }
})
