import { describeScenarios, serving } from '../helpers/policy-scenario.ts'

describeScenarios({
  'a rollout replaces one worker after another': {
    'the new worker is ready before the old one drains, and the old one has exited before the next slot': {
      workers: 2,
      steps: [
        ...serving(2),
        ['reload', 'fork #3: slot 0, generation 2'],
        ['500 ms pass'],
        ['ready 3', 'drain #1, transferring'],
        ['500 ms pass'],
        ['left 1', 'fork #4: slot 1, generation 2'],
        ['ready 4', 'drain #2, transferring'],
        ['left 2', 'rollout 2 done'],
        ['3600000 ms pass']
      ]
    },
    'after it, crashed workers are replaced by workers of the new generation': {
      workers: 1,
      steps: [
        ...serving(1),
        ['reload', 'fork #2: slot 0, generation 2'],
        ['ready 2', 'drain #1, transferring'],
        ['left 1', 'rollout 2 done'],
        ['dies 2', 'fork #3: slot 0, generation 2']
      ]
    },
    'an old worker that exceeds its drain deadline is killed, and the rollout continues': {
      workers: 2,
      steps: [
        ...serving(2),
        ['reload', 'fork #3: slot 0, generation 2'],
        ['ready 3', 'drain #1, transferring'],
        ['2000 ms pass', 'kill #1: drain deadline'],
        ['dies 1', 'fork #4: slot 1, generation 2']
      ]
    },
    'the worker with the pending admin request does not delay the rollout': {
      workers: 2,
      steps: [
        ...serving(2),
        ['admin request 1'],
        ['reload', 'fork #3: slot 0, generation 2'],
        ['ready 3', 'drain #1, transferring'],
        ['drained 1', 'fork #4: slot 1, generation 2'],
        ['ready 4', 'drain #2, transferring'],
        ['left 2', 'rollout 2 done'],
        ['3600000 ms pass'],
        ['answered 1'],
        ['1999 ms pass'],
        ['1 ms pass', 'kill #1: drain deadline']
      ]
    },
    'a drained worker without a pending admin request must exit first': {
      workers: 2,
      steps: [
        ...serving(2),
        ['reload', 'fork #3: slot 0, generation 2'],
        ['ready 3', 'drain #1, transferring'],
        ['drained 1'],
        ['2000 ms pass', 'kill #1: drain deadline']
      ]
    },
    'a worker that writes a heap snapshot gets more time': {
      workers: 1,
      steps: [
        ...serving(1),
        ['snapshot 1', 'fork #2: slot 0, generation 1'],
        ['ready 2', 'drain #1, transferring'],
        ['121999 ms pass'],
        ['1 ms pass', 'kill #1: drain deadline']
      ]
    },
    'a worker that has to be killed must exit first, too': {
      workers: 1,
      steps: [
        ...serving(1),
        ['scale 2', 'fork #2: slot 1, generation 1'],
        ['1000 ms pass', 'kill #2: not ready in 1000 ms'],
        ['reload'],
        ['dies 2', 'fork #3: slot 0, generation 2', 'fork #4: slot 1, generation 1']
      ]
    },
    'a worker of a slot that is no longer wanted must leave before the next one is replaced': {
      workers: 2,
      limits: { maxAgeMs: 60_000 },
      steps: [
        ...serving(2),
        ['60000 ms pass unnoticed'],
        ['scale 1', 'drain #2, transferring'],
        ['left 2', 'fork #3: slot 0, generation 1']
      ]
    },
    'a slot whose worker is being recycled is served by the last one until the new release takes over': {
      workers: 1,
      steps: [
        ...serving(1),
        ['recycle 1', 'fork #2: slot 0, generation 1'],
        ['reload'],
        ['ready 2', 'drain #1, transferring'],
        ['left 1', 'fork #3: slot 0, generation 2'],
        ['ready 3', 'drain #2, transferring'],
        ['left 2', 'rollout 2 done']
      ]
    },
    'a new release that did not boot is tried again at once when an operator reloads, whatever the pause': {
      workers: 1,
      steps: [
        ...serving(1),
        ['reload', 'fork #2: slot 0, generation 2'],
        ['dies 2', 'rollout 2 failed: worker 0 ended before it was ready (exit code 1)'],
        ['reload', 'fork #3: slot 0, generation 3'],
        ['dies 3', 'rollout 3 failed: worker 0 ended before it was ready (exit code 1)'],
        ['reload', 'fork #4: slot 0, generation 4'],
        ['ready 4', 'drain #1, transferring'],
        ['left 1', 'rollout 4 done']
      ]
    },
    'a slot whose turn comes later keeps its old worker while the first one waits for its pause': {
      workers: 2,
      steps: [
        ...serving(2),
        ['dies 1', 'fork #3: slot 0, generation 1'],
        ['dies 3'],
        ['reload'],
        ['100 ms pass', 'fork #4: slot 0, generation 2'],
        ['ready 4', 'fork #5: slot 1, generation 2'],
        ['ready 5', 'drain #2, transferring'],
        ['left 2', 'rollout 2 done']
      ]
    },
    'several reloads during a rollout lead to one more rollout': {
      workers: 1,
      steps: [
        ...serving(1),
        ['reload', 'fork #2: slot 0, generation 2'],
        ['reload'],
        ['ready 2', 'drain #1, transferring'],
        ['reload'],
        ['left 1', 'rollout 2 done', 'fork #3: slot 0, generation 3'],
        ['ready 3', 'drain #2, transferring'],
        ['left 2', 'rollout 3 done'],
        ['3600000 ms pass']
      ]
    }
  },
  'a crash during a rollout is repaired at once': {
    'of an old worker in another slot: by the old generation, until its turn comes': {
      workers: 2,
      steps: [
        ...serving(2),
        ['reload', 'fork #3: slot 0, generation 2'],
        ['dies 2', 'fork #4: slot 1, generation 1'],
        ['ready 4'],
        ['ready 3', 'drain #1, transferring'],
        ['left 1', 'fork #5: slot 1, generation 2'],
        ['ready 5', 'drain #4, transferring'],
        ['left 4', 'rollout 2 done']
      ]
    },
    'of the old worker that is being replaced: by the new one that starts already': {
      workers: 1,
      steps: [
        ...serving(1),
        ['reload', 'fork #2: slot 0, generation 2'],
        ['dies 1'],
        ['ready 2', 'rollout 2 done'],
        ['3600000 ms pass']
      ]
    },

    'of a new worker while its predecessor drains: by the old release': {
      workers: 1,
      steps: [
        ...serving(1),
        ['reload', 'fork #2: slot 0, generation 2'],
        ['ready 2', 'drain #1, transferring'],
        ['dies 2', 'rollout 2 failed: worker 0 of it did not last (exit code 1)', 'fork #3: slot 0, generation 1'],
        ['ready 3'],
        ['left 1']
      ]
    },
    'of the next old worker while another one drains: without waiting for the drain': {
      workers: 2,
      steps: [
        ...serving(2),
        ['reload', 'fork #3: slot 0, generation 2'],
        ['ready 3', 'drain #1, transferring'],
        ['dies 2', 'fork #4: slot 1, generation 2'],
        ['ready 4'],
        ['left 1', 'rollout 2 done']
      ]
    },
    'of an old worker: its late replacement does not stay beside the new worker': {
      workers: 1,
      steps: [
        ...serving(1),
        ['dies 1', 'fork #2: slot 0, generation 1'],
        ['reload', 'fork #3: slot 0, generation 2'],
        ['ready 3', 'kill #2: reload'],
        ['dies 2', 'rollout 2 done']
      ]
    },

    'of canaries in several rollouts: slots that no worker serves observe pauses': {
      workers: 1,
      steps: [
        ...serving(1),
        ['dies 1', 'fork #2: slot 0, generation 1'],
        ['reload', 'fork #3: slot 0, generation 2'],
        ['reload'],
        ['dies 3', 'rollout 2 failed: worker 0 ended before it was ready (exit code 1)'],
        ['99 ms pass'],
        ['1 ms pass', 'fork #4: slot 0, generation 3']
      ]
    }
  }
})
