import { type Step, serving, tell } from '../helpers/rehearsal.ts'

/** Slot 0 of two has been rolled to generation 2 (#3), and the candidate of slot 1 (#4) is starting. */
const halfRolled: Step[] = [
  ...serving(2),
  ['reload', 'fork #3: slot 0, generation 2'],
  ['ready 3', 'drain #1, handing over'],
  ['left 1', 'fork #4: slot 1, generation 2']
]

tell({
  'a reload replaces one worker after the other': {
    'the new one is ready before the old one drains, and the old one gone before the next slot': {
      workers: 2,
      story: [
        ...serving(2),
        ['reload', 'fork #3: slot 0, generation 2'],
        ['500 ms pass'],
        ['ready 3', 'drain #1, handing over'],
        ['500 ms pass'],
        ['left 1', 'fork #4: slot 1, generation 2'],
        ['ready 4', 'drain #2, handing over'],
        ['left 2', 'roll 2 done'],
        ['3600000 ms pass']
      ]
    },
    'after it a worker that crashes is replaced by one of the new generation': {
      workers: 1,
      story: [
        ...serving(1),
        ['reload', 'fork #2: slot 0, generation 2'],
        ['ready 2', 'drain #1, handing over'],
        ['left 1', 'roll 2 done'],
        ['dies 2', 'fork #3: slot 0, generation 2']
      ]
    },
    'an old worker that does not end its drain is killed, and the roll goes on': {
      workers: 2,
      story: [
        ...serving(2),
        ['reload', 'fork #3: slot 0, generation 2'],
        ['ready 3', 'drain #1, handing over'],
        ['2000 ms pass', 'kill #1: drain deadline'],
        ['dies 1', 'fork #4: slot 1, generation 2']
      ]
    },
    'a second and a third reload during one are remembered as one more': {
      workers: 1,
      story: [
        ...serving(1),
        ['reload', 'fork #2: slot 0, generation 2'],
        ['reload'],
        ['ready 2', 'drain #1, handing over'],
        ['reload'],
        ['left 1', 'roll 2 done', 'fork #3: slot 0, generation 3'],
        ['ready 3', 'drain #2, handing over'],
        ['left 2', 'roll 3 done'],
        ['3600000 ms pass']
      ]
    }
  },
  'a release that cannot boot never replaces one that serves': {
    'its worker dies: the roll fails, the old one stays, nothing is tried again': {
      workers: 2,
      story: [
        ...serving(2),
        ['reload', 'fork #3: slot 0, generation 2'],
        ['dies 3', 'roll 2 failed: worker 0 ended before it was ready (exit code 1)'],
        ['3600000 ms pass']
      ]
    },
    'its worker says why it cannot boot: that is why the roll failed': {
      workers: 2,
      story: [
        ...serving(2),
        ['reload', 'fork #3: slot 0, generation 2'],
        ['cannot boot 3'],
        ['dies 3', 'roll 2 failed: no such APP'],
        ['3600000 ms pass']
      ]
    },
    'its worker hangs: it alone is killed': {
      workers: 2,
      story: [
        ...serving(2),
        ['reload', 'fork #3: slot 0, generation 2'],
        ['1000 ms pass', 'kill #3: not ready in 1000 ms'],
        ['dies 3', 'roll 2 failed: worker 0 was not ready in 1000 ms'],
        ['3600000 ms pass']
      ]
    },
    'in the middle of a roll: what is rolled stays, what is old stays': {
      workers: 2,
      story: [
        ...halfRolled,
        ['dies 4', 'roll 2 failed: worker 1 ended before it was ready (exit code 1)'],
        ['3600000 ms pass']
      ]
    },
    'the next reload is a roll of its own, even one that was asked for meanwhile': {
      workers: 1,
      story: [
        ...serving(1),
        ['reload', 'fork #2: slot 0, generation 2'],
        ['reload'],
        ['dies 2', 'roll 2 failed: worker 0 ended before it was ready (exit code 1)', 'fork #3: slot 0, generation 3'],
        ['ready 3', 'drain #1, handing over'],
        ['left 1', 'roll 3 done']
      ]
    },
    'a failed roll leaves no candidate behind in another slot': {
      workers: 2,
      story: [
        ...halfRolled,
        ['dies 3', 'fork #5: slot 0, generation 2'],
        ['dies 5', 'kill #4: its rolling restart failed'],
        ['dies 4', 'roll 2 failed: worker 0 ended before it was ready (exit code 1)'],
        ['100 ms pass', 'fork #6: slot 0, generation 1']
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
        ['ready 3', 'drain #1, handing over'],
        ['left 1', 'fork #5: slot 1, generation 2'],
        ['ready 5', 'drain #4, handing over'],
        ['left 4', 'roll 2 done']
      ]
    },
    'of the old worker that is being replaced: the new one is on its way already': {
      workers: 1,
      story: [
        ...serving(1),
        ['reload', 'fork #2: slot 0, generation 2'],
        ['dies 1'],
        ['ready 2', 'roll 2 done'],
        ['3600000 ms pass']
      ]
    },
    'of a worker that was rolled already: the new generation again, before the roll goes on': {
      workers: 2,
      story: [
        ...halfRolled,
        ['dies 3', 'fork #5: slot 0, generation 2'],
        ['ready 4', 'drain #2, handing over'],
        ['ready 5'],
        ['left 2', 'roll 2 done']
      ]
    },
    'of a new worker while the one it replaced drains: it is not waited for': {
      workers: 1,
      story: [
        ...serving(1),
        ['reload', 'fork #2: slot 0, generation 2'],
        ['ready 2', 'drain #1, handing over'],
        ['dies 2', 'fork #3: slot 0, generation 2'],
        ['ready 3'],
        ['left 1', 'roll 2 done']
      ]
    },
    'of an old worker whose turn is next while another drains: it is not waited for': {
      workers: 2,
      story: [
        ...serving(2),
        ['reload', 'fork #3: slot 0, generation 2'],
        ['ready 3', 'drain #1, handing over'],
        ['dies 2', 'fork #4: slot 1, generation 2'],
        ['ready 4'],
        ['left 1', 'roll 2 done']
      ]
    },
    'of an old worker whose replacement is slower than the new one: it is not left beside it': {
      workers: 1,
      story: [
        ...serving(1),
        ['dies 1', 'fork #2: slot 0, generation 1'],
        ['reload', 'fork #3: slot 0, generation 2'],
        ['ready 3', 'kill #2: replaced'],
        ['dies 2', 'roll 2 done']
      ]
    },
    'of two workers that were rolled already: no other slot gets a second worker before the first one that has two': {
      workers: 3,
      story: [
        ...serving(3),
        ['reload', 'fork #4: slot 0, generation 2'],
        ['ready 4', 'drain #1, handing over'],
        ['left 1', 'fork #5: slot 1, generation 2'],
        ['ready 5', 'drain #2, handing over'],
        ['left 2', 'fork #6: slot 2, generation 2'],
        ['dies 4', 'fork #7: slot 0, generation 2'],
        ['dies 5', 'fork #8: slot 1, generation 1'],
        ['ready 8'],
        ['ready 7'],
        ['ready 6', 'drain #3, handing over'],
        ['left 3', 'fork #9: slot 1, generation 2'],
        ['ready 9', 'drain #8, handing over'],
        ['left 8', 'roll 2 done']
      ]
    },
    'of candidates, one reload after the other: they wait as others do where no old worker serves': {
      workers: 1,
      story: [
        ...serving(1),
        ['dies 1', 'fork #2: slot 0, generation 1'],
        ['reload', 'fork #3: slot 0, generation 2'],
        ['reload'],
        ['dies 3', 'roll 2 failed: worker 0 ended before it was ready (exit code 1)'],
        ['99 ms pass'],
        ['1 ms pass', 'fork #4: slot 0, generation 3']
      ]
    }
  }
})
