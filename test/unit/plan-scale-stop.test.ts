import { describeScenarios, serving } from '../helpers/policy-scenario.ts'

describeScenarios({
  'scaling reaches the requested number of workers': {
    'up: the new slots are filled': {
      workers: 1,
      steps: [
        ...serving(1),
        ['scale 3', 'fork #2: slot 1, generation 1', 'fork #3: slot 2, generation 1'],
        ['ready 2'],
        ['ready 3']
      ]
    },
    'down: the workers of the last slots transfer their connections and leave': {
      workers: 3,
      steps: [
        ...serving(3),
        ['scale 1', 'drain #2, transferring', 'drain #3, transferring'],
        ['left 3'],
        ['left 2'],
        ['3600000 ms pass']
      ]
    },
    'down: a worker that is not ready is killed': {
      workers: 1,
      steps: [
        ...serving(1),
        ['scale 2', 'fork #2: slot 1, generation 1'],
        ['scale 1', 'kill #2: scaled down'],
        ['dies 2']
      ]
    },
    'down and up again: a slot whose worker leaves gets a new one at once': {
      workers: 2,
      steps: [
        ...serving(2),
        ['scale 1', 'drain #2, transferring'],
        ['scale 2', 'fork #3: slot 1, generation 1'],
        ['ready 3'],
        ['left 2']
      ]
    },
    'down during the start: not a boot failure': {
      workers: 4,
      steps: [
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
    'a slot that is wanted again has no pause': {
      workers: 1,
      steps: [
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
  'a service stops in order': {
    'lame duck first, then every worker drains, and the service ends with the last one': {
      workers: 2,
      steps: [
        ...serving(2),
        ['stop'],
        ['60000 ms pass'],
        ['port closed', 'drain #1', 'drain #2'],
        ['left 2'],
        ['left 1', 'exit drained: every worker has left']
      ]
    },
    'a worker that is not ready is killed, which is not a boot failure': {
      workers: 2,
      steps: [
        ['start', 'fork #1: slot 0, generation 1', 'fork #2: slot 1, generation 1'],
        ['ready 1'],
        ['stop'],
        ['port closed', 'drain #1', 'kill #2: the service stops'],
        ['dies 2'],
        ['left 1', 'exit drained: every worker has left']
      ]
    },
    'a worker that becomes ready during the lame duck time drains like the others': {
      workers: 1,
      steps: [
        ['start', 'fork #1: slot 0, generation 1'],
        ['stop'],
        ['ready 1'],
        ['port closed', 'drain #1'],
        ['left 1', 'exit drained: every worker has left']
      ]
    },
    'workers that all end before they were ready leave a stop as it is': {
      workers: 3,
      steps: [
        ['start', 'fork #1: slot 0, generation 1', 'fork #2: slot 1, generation 1', 'fork #3: slot 2, generation 1'],
        ['stop'],
        ['dies 1'],
        ['dies 2'],
        ['dies 3'],
        ['port closed', 'exit drained: every worker has left']
      ]
    },
    'nothing is forked, reloaded or scaled up after a stop': {
      workers: 2,
      steps: [
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
    'a second stop changes nothing': {
      workers: 1,
      steps: [
        ...serving(1),
        ['stop'],
        ['stop'],
        ['port closed', 'drain #1'],
        ['stop'],
        ['port closed'],
        ['left 1', 'exit drained: every worker has left']
      ]
    },
    'a worker that exceeds its drain deadline is killed once': {
      workers: 1,
      steps: [
        ...serving(1),
        ['stop'],
        ['port closed', 'drain #1'],
        ['1999 ms pass'],
        ['1 ms pass', 'kill #1: drain deadline'],
        ['60000 ms pass'],
        ['dies 1', 'exit drained: every worker has left']
      ]
    },
    'a late worker is killed only once when the service stops': {
      workers: 1,
      steps: [
        ['start', 'fork #1: slot 0, generation 1'],
        ['stop'],
        ['1000 ms pass unnoticed'],
        ['port closed', 'kill #1: not ready in 1000 ms'],
        ['dies 1', 'exit drained: every worker has left']
      ]
    },
    'a late worker is killed only once when its slot is scaled away': {
      workers: 1,
      steps: [
        ...serving(1),
        ['scale 2', 'fork #2: slot 1, generation 1'],
        ['1000 ms pass unnoticed'],
        ['scale 1', 'kill #2: not ready in 1000 ms'],
        ['dies 2']
      ]
    }
  },
  'a stop or a scale during a rollout': {
    'a stop ends the rollout: ready workers drain, others are killed': {
      workers: 2,
      steps: [
        ...serving(2),
        ['reload', 'fork #3: slot 0, generation 2'],
        ['stop', 'rollout 2 stopped: the service stops'],
        ['port closed', 'drain #1', 'drain #2', 'kill #3: the service stops'],
        ['dies 3'],
        ['left 1'],
        ['left 2', 'exit drained: every worker has left']
      ]
    },
    'a stop cancels the next reload': {
      workers: 1,
      steps: [
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
    'up: new slots are filled at once and replaced in their turn': {
      workers: 1,
      steps: [
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
    'down: the rollout continues with the remaining slots': {
      workers: 2,
      steps: [
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
