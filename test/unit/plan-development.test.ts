import { describeScenarios, serving } from '../helpers/policy-scenario.ts'

const limits = { waitsForReload: true }

describeScenarios({
  'while code is being written, the service waits for the next reload': {
    'a worker that cannot boot at the start is not tried again before a reload': {
      workers: 1,
      limits,
      steps: [
        ['start', 'fork #1: slot 0, generation 1'],
        ['cannot boot 1'],
        ['dies 1'],
        ['3600000 ms pass'],
        ['reload', 'fork #2: slot 0, generation 2'],
        ['cannot boot 2'],
        ['dies 2', 'rollout 2 failed: no such APP'],
        ['3600000 ms pass'],
        ['reload', 'fork #3: slot 0, generation 3'],
        ['ready 3', 'rollout 3 done']
      ]
    },
    'workers that end while they start, however often, do not end the service': {
      workers: 1,
      limits,
      steps: [
        ['start', 'fork #1: slot 0, generation 1'],
        ...[1, 2, 3, 4].flatMap((id) => [
          id === 1
            ? (['dies 1'] as const)
            : ([`dies ${id}`, `rollout ${id} failed: worker 0 ended before it was ready (exit code 1)`] as const),
          ['reload', `fork #${id + 1}: slot 0, generation ${id + 1}`] as const
        ]),
        ['ready 5', 'rollout 5 done']
      ].map(([what, ...done]) => [what as 'start', ...done])
    },
    'a reload that fails leaves the worker of the code before, and the next one replaces it': {
      workers: 1,
      limits,
      steps: [
        ...serving(1),
        ['reload', 'fork #2: slot 0, generation 2'],
        ['cannot boot 2'],
        ['dies 2', 'rollout 2 failed: no such APP'],
        ['3600000 ms pass'],
        ['reload', 'fork #3: slot 0, generation 3'],
        ['ready 3', 'drain #1, transferring'],
        ['left 1', 'rollout 3 done']
      ]
    },
    'a worker that crashes while it serves is replaced, and its pauses end with the next reload': {
      workers: 1,
      limits,
      steps: [
        ...serving(1),
        ['dies 1', 'fork #2: slot 0, generation 1'],
        ['ready 2'],
        ['dies 2'],
        ['reload', 'fork #3: slot 0, generation 2'],
        ['ready 3', 'rollout 2 done']
      ]
    },
    'the service stops while no worker can boot': {
      workers: 1,
      limits,
      steps: [
        ['start', 'fork #1: slot 0, generation 1'],
        ['cannot boot 1'],
        ['dies 1'],
        ['stop'],
        ['port closed', 'exit drained: every worker has left']
      ]
    }
  }
})
