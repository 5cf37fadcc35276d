import { serving, tell } from '../helpers/policy-scenario.ts'

tell({
  'as many workers as are asked for': {
    'more: the new slots are filled': {
      workers: 1,
      story: [
        ...serving(1),
        ['scale 3', 'fork #2: slot 1, generation 1', 'fork #3: slot 2, generation 1'],
        ['ready 2'],
        ['ready 3']
      ]
    },
    'fewer: the last slots hand over and leave': {
      workers: 3,
      story: [
        ...serving(3),
        ['scale 1', 'drain #2, transferring', 'drain #3, transferring'],
        ['left 3'],
        ['left 2'],
        ['3600000 ms pass']
      ]
    },
    'fewer: what has not begun to serve is killed': {
      workers: 1,
      story: [
        ...serving(1),
        ['scale 2', 'fork #2: slot 1, generation 1'],
        ['scale 1', 'kill #2: scaled down'],
        ['dies 2']
      ]
    },
    'fewer and more again: a slot whose worker leaves gets a new one at once': {
      workers: 2,
      story: [
        ...serving(2),
        ['scale 1', 'drain #2, transferring'],
        ['scale 2', 'fork #3: slot 1, generation 1'],
        ['ready 3'],
        ['left 2']
      ]
    },
    'fewer during the start is no failure to boot': {
      workers: 4,
      story: [
        [
          'start',
          'fork #1: slot 0, generation 1',
          'fork #2: slot 1, generation 1',
          'fork #3: slot 2, generation 1',
          'fork #4: slot 3, generation 1'
        ],
        ['scale 1', 'kill #2: scaled down', 'kill #3: scaled down', 'kill #4: scaled down'],
        ['dies 2'],
        ['dies 3'],
        ['dies 4'],
        ['ready 1']
      ]
    },
    'a slot that is wanted again after it was scaled away waits for nothing': {
      workers: 1,
      story: [
        ...serving(1),
        ['scale 2', 'fork #2: slot 1, generation 1'],
        ['scale 1', 'kill #2: scaled down'],
        ['dies 2'],
        ['scale 2', 'fork #3: slot 1, generation 1'],
        ['scale 1', 'kill #3: scaled down'],
        ['dies 3'],
        ['scale 2', 'fork #4: slot 1, generation 1']
      ]
    }
  },
  'a service that stops goes in order': {
    'it is lame first, then every worker drains, and with the last one it ends': {
      workers: 2,
      story: [
        ...serving(2),
        ['stop'],
        ['60000 ms pass'],
        ['port closed', 'drain #1', 'drain #2'],
        ['left 2'],
        ['left 1', 'exit drained: every worker has left']
      ]
    },
    'a worker that is not ready yet is killed instead, and is no failure to boot': {
      workers: 2,
      story: [
        ['start', 'fork #1: slot 0, generation 1', 'fork #2: slot 1, generation 1'],
        ['ready 1'],
        ['stop'],
        ['port closed', 'drain #1', 'kill #2: the service stops'],
        ['dies 2'],
        ['left 1', 'exit drained: every worker has left']
      ]
    },
    'a worker that becomes ready in the lame time drains like the others': {
      workers: 1,
      story: [
        ['start', 'fork #1: slot 0, generation 1'],
        ['stop'],
        ['ready 1'],
        ['port closed', 'drain #1'],
        ['left 1', 'exit drained: every worker has left']
      ]
    },
    'nothing is forked, reloaded or scaled up any more': {
      workers: 2,
      story: [
        ...serving(2),
        ['stop'],
        ['dies 1'],
        ['reload'],
        ['scale 5'],
        ['60000 ms pass'],
        ['port closed', 'drain #2'],
        ['dies 2', 'exit drained: every worker has left']
      ]
    },
    'to be told twice changes nothing': {
      workers: 1,
      story: [
        ...serving(1),
        ['stop'],
        ['stop'],
        ['port closed', 'drain #1'],
        ['stop'],
        ['port closed'],
        ['left 1', 'exit drained: every worker has left']
      ]
    },
    'a worker that does not end its drain is killed, once': {
      workers: 1,
      story: [
        ...serving(1),
        ['stop'],
        ['port closed', 'drain #1'],
        ['1999 ms pass'],
        ['1 ms pass', 'kill #1: drain deadline'],
        ['60000 ms pass'],
        ['dies 1', 'exit drained: every worker has left']
      ]
    },
    'a worker that is late when the service stops is killed only once': {
      workers: 1,
      story: [
        ['start', 'fork #1: slot 0, generation 1'],
        ['stop'],
        ['1000 ms pass unnoticed'],
        ['port closed', 'kill #1: not ready in 1000 ms'],
        ['dies 1', 'exit drained: every worker has left']
      ]
    },
    'a worker that is late when its slot is scaled away is killed only once': {
      workers: 1,
      story: [
        ...serving(1),
        ['scale 2', 'fork #2: slot 1, generation 1'],
        ['1000 ms pass unnoticed'],
        ['scale 1', 'kill #2: not ready in 1000 ms'],
        ['dies 2']
      ]
    }
  },
  'a stop or a change of the count during a roll': {
    'a stop ends the roll: everybody drains, what has not begun to serve is killed': {
      workers: 2,
      story: [
        ...serving(2),
        ['reload', 'fork #3: slot 0, generation 2'],
        ['stop', 'rollout 2 stopped: the service stops'],
        ['port closed', 'drain #1', 'drain #2', 'kill #3: the service stops'],
        ['dies 3'],
        ['left 1'],
        ['left 2', 'exit drained: every worker has left']
      ]
    },
    'a stop forgets the reload that was to follow': {
      workers: 1,
      story: [
        ...serving(1),
        ['reload', 'fork #2: slot 0, generation 2'],
        ['reload'],
        ['stop', 'rollout 2 stopped: the service stops'],
        ['60000 ms pass', 'kill #2: not ready in 1000 ms'],
        ['dies 2'],
        ['port closed', 'drain #1'],
        ['left 1', 'exit drained: every worker has left']
      ]
    },
    'more workers: they are filled at once and rolled in their turn': {
      workers: 1,
      story: [
        ...serving(1),
        ['reload', 'fork #2: slot 0, generation 2'],
        ['scale 2', 'fork #3: slot 1, generation 1'],
        ['ready 3'],
        ['ready 2', 'drain #1, transferring'],
        ['left 1', 'fork #4: slot 1, generation 2'],
        ['ready 4', 'drain #3, transferring'],
        ['left 3', 'rollout 2 done']
      ]
    },
    'fewer workers: the roll goes on with those that stay, and has not failed': {
      workers: 2,
      story: [
        ...serving(2),
        ['reload', 'fork #3: slot 0, generation 2'],
        ['ready 3', 'drain #1, transferring'],
        ['left 1', 'fork #4: slot 1, generation 2'],
        ['scale 1', 'drain #2, transferring', 'kill #4: scaled down'],
        ['dies 4'],
        ['left 2', 'rollout 2 done']
      ]
    }
  }
})
