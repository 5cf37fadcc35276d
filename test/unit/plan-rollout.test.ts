import { serving, tell } from '../helpers/policy-scenario.ts'

tell({
  'a reload replaces one worker after the other': {
    'the new one is ready before the old one drains, and the old one gone before the next slot': {
      workers: 2,
      story: [
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
    'after it a worker that crashes is replaced by one of the new generation': {
      workers: 1,
      story: [
        ...serving(1),
        ['reload', 'fork #2: slot 0, generation 2'],
        ['ready 2', 'drain #1, transferring'],
        ['left 1', 'rollout 2 done'],
        ['dies 2', 'fork #3: slot 0, generation 2']
      ]
    },
    'an old worker that does not end its drain is killed, and the roll goes on': {
      workers: 2,
      story: [
        ...serving(2),
        ['reload', 'fork #3: slot 0, generation 2'],
        ['ready 3', 'drain #1, transferring'],
        ['2000 ms pass', 'kill #1: drain deadline'],
        ['dies 1', 'fork #4: slot 1, generation 2']
      ]
    },
    'a worker through which the reload was asked for does not hold it up, however long it takes': {
      workers: 2,
      story: [
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
    'without a command under way one that has drained is waited for': {
      workers: 2,
      story: [
        ...serving(2),
        ['reload', 'fork #3: slot 0, generation 2'],
        ['ready 3', 'drain #1, transferring'],
        ['drained 1'],
        ['2000 ms pass', 'kill #1: drain deadline']
      ]
    },
    'one that writes a snapshot gets its time': {
      workers: 1,
      story: [
        ...serving(1),
        ['snapshot 1', 'fork #2: slot 0, generation 1'],
        ['ready 2', 'drain #1, transferring'],
        ['121999 ms pass'],
        ['1 ms pass', 'kill #1: drain deadline']
      ]
    },
    'a second and a third reload during one are remembered as one more': {
      workers: 1,
      story: [
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
  'a crash during a roll is made good at once': {
    'of an old worker in another slot: the old generation again, rolled when its turn comes': {
      workers: 2,
      story: [
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
    'of the old worker that is being replaced: the new one is on its way already': {
      workers: 1,
      story: [
        ...serving(1),
        ['reload', 'fork #2: slot 0, generation 2'],
        ['dies 1'],
        ['ready 2', 'rollout 2 done'],
        ['3600000 ms pass']
      ]
    },

    'of a new worker while the one it replaced drains: the old release again, at once': {
      workers: 1,
      story: [
        ...serving(1),
        ['reload', 'fork #2: slot 0, generation 2'],
        ['ready 2', 'drain #1, transferring'],
        ['dies 2', 'rollout 2 failed: worker 0 of it did not last (exit code 1)', 'fork #3: slot 0, generation 1'],
        ['ready 3'],
        ['left 1']
      ]
    },
    'of an old worker whose turn is next while another drains: it is not waited for': {
      workers: 2,
      story: [
        ...serving(2),
        ['reload', 'fork #3: slot 0, generation 2'],
        ['ready 3', 'drain #1, transferring'],
        ['dies 2', 'fork #4: slot 1, generation 2'],
        ['ready 4'],
        ['left 1', 'rollout 2 done']
      ]
    },
    'of an old worker whose replacement is slower than the new one: it is not left beside it': {
      workers: 1,
      story: [
        ...serving(1),
        ['dies 1', 'fork #2: slot 0, generation 1'],
        ['reload', 'fork #3: slot 0, generation 2'],
        ['ready 3', 'kill #2: reload'],
        ['dies 2', 'rollout 2 done']
      ]
    },

    'of candidates, one reload after the other: they wait as others do where no old worker serves': {
      workers: 1,
      story: [
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
