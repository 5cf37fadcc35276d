import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applyStep, describeScenarios, Scenario, type Step, serving } from '../helpers/policy-scenario.ts'

/** Two workers, and the canary #3 of generation 2 beside #1 in slot 0; the control is starting as #4. */
const begun = (undecided: 'continue' | 'hold' | 'rollback' = 'continue'): Step[] => [
  ...serving(2),
  ['reload', 'fork #3: slot 0, generation 2'],
  // The supervisor begins the trial in the same turn. Here it is a turn later, so the canary time keeps the old worker.
  ['ready 3'],
  [`trial begins, undecided: ${undecided}`, 'fork #4: slot 0, generation 1, control']
]
/** Canary and control receive connections. */
const running = (undecided: 'continue' | 'hold' | 'rollback' = 'continue'): Step[] => [...begun(undecided), ['ready 4']]
const limits = { canaryMs: 1000 }
const withTwo = (steps: Step[]) => ({ workers: 2, limits, steps })
const passed: Step[] = [
  ['left 4'],
  ['left 1', 'fork #5: slot 1, generation 2'],
  ['ready 5', 'drain #2, transferring'],
  ['left 2', 'rollout 2 done'],
  ['3600000 ms pass']
]
const rolledBack: Step[] = [['left 4'], ['left 3', 'rollout 2 failed: more errors'], ['3600000 ms pass']]

describeScenarios({
  'connections move to a new release only after the verdict': {
    'while the trial goes on, nothing is replaced; when the release is no worse, the rollout goes on': withTwo([
      ...running(),
      ['9000 ms pass'],
      ['trial ends: no worse', 'drain #1, transferring', 'drain #4, transferring'],
      ...passed
    ]),
    'a trial that stays undecided ends after its time': withTwo([
      ...running(),
      ['9999 ms pass'],
      ['1 ms pass', 'trial undecided', 'drain #1, transferring', 'drain #4, transferring'],
      ...passed
    ]),
    'a verdict counts, whatever an undecided trial would lead to': withTwo([
      ...running('rollback'),
      ['trial ends: no worse', 'drain #4, transferring'],
      ['1000 ms pass', 'drain #1, transferring']
    ]),
    'also when the canary is to be recycled': withTwo([
      ...running(),
      ['9000 ms pass'],
      ['recycle 3'],
      ['trial ends: no worse', 'drain #1, transferring', 'drain #4, transferring']
    ]),
    'when it ends by time and the old worker has just crashed, the canary takes its place, and nothing is forked':
      withTwo([
        ...running(),
        ['10000 ms pass unnoticed'],
        ['dies 1', 'trial undecided', 'drain #4, transferring'],
        ['left 4', 'fork #5: slot 1, generation 2'],
        ['ready 5', 'drain #2, transferring'],
        ['left 2', 'rollout 2 done']
      ]),
    'the time of the trial begins when the control serves': withTwo([
      ...begun(),
      ['900 ms pass'],
      ['ready 4'],
      ['9999 ms pass'],
      ['1 ms pass', 'trial undecided', 'drain #1, transferring', 'drain #4, transferring']
    ]),
    'an operator ends the trial of a good release': {
      workers: 2,
      limits,
      steps: [...running(), ['promote', 'drain #1, transferring', 'drain #4, transferring'], ...passed]
    },
    'a release that was promoted before it served has no trial': {
      workers: 1,
      limits,
      steps: [
        ...serving(1),
        ['reload', 'fork #2: slot 0, generation 2'],
        ['promote'],
        ['ready 2', 'drain #1, transferring'],
        ['trial begins, undecided: continue'],
        ['left 1', 'rollout 2 done']
      ]
    },
    'without a control the trial begins at once': {
      workers: 1,
      limits,
      steps: [
        ...serving(1),
        ['reload', 'fork #2: slot 0, generation 2'],
        ['ready 2'],
        ['trial begins without control, undecided: continue'],
        ['10000 ms pass', 'trial undecided', 'drain #1, transferring'],
        ['left 1', 'rollout 2 done']
      ]
    }
  },
  'a release that is worse is rolled back before it has replaced a worker': {
    'the canary drains into the old workers, and the control ends': withTwo([
      ...running(),
      ['3000 ms pass'],
      ['trial ends: worse', 'drain #3, transferring', 'drain #4, transferring'],
      ...rolledBack
    ]),
    'an operator rolls it back': withTwo([
      ...running(),
      ['code changes', 'drain #3, transferring', 'drain #4, transferring'],
      ['left 4'],
      ['left 3', 'rollout 2 failed: the code on disk changed']
    ]),
    'a canary that crashes has failed': withTwo([
      ...running(),
      ['dies 3', 'drain #4, transferring'],
      ['left 4', 'rollout 2 failed: worker 0 of it did not last (exit code 1)'],
      ['3600000 ms pass']
    ]),
    'a canary that hangs has failed': {
      workers: 1,
      limits: { ...limits, heartbeatMs: 5000 },
      steps: [
        ...serving(1),
        ['reload', 'fork #2: slot 0, generation 2'],
        ['ready 2'],
        ['trial begins without control, undecided: continue'],
        ['silent 2'],
        ['4000 ms pass'],
        ['heartbeat 1'],
        ['1000 ms pass', 'examine #2: hung'],
        ['hang reported 2', 'kill #2: an endless loop'],
        ['dies 2', 'rollout 2 failed: worker 0 of it did not last (exit code 1)']
      ]
    },
    'a canary that needs more than MAX_MEMORY has failed': {
      workers: 2,
      limits: { ...limits, maxMemoryBytes: 100e6, memorySamples: 2 },
      steps: [
        ...running(),
        ['heartbeat 3 of MB 101'],
        ['heartbeat 3 of MB 102', 'drain #3, transferring', 'drain #4, transferring'],
        ['left 4'],
        ['left 3', 'rollout 2 failed: its first worker needs more than MAX_MEMORY']
      ]
    },
    'an undecided trial is rolled back where that is configured': withTwo([
      ...running('rollback'),
      ['10000 ms pass', 'trial undecided', 'drain #3, transferring', 'drain #4, transferring'],
      ['left 4'],
      ['left 3', 'rollout 2 failed: undecided in time']
    ])
  },
  'an undecided trial can wait for an operator': {
    'it goes on when it is promoted': withTwo([
      ...running('hold'),
      ['10000 ms pass', 'trial undecided'],
      ['3600000 ms pass'],
      ['promote', 'drain #1, transferring', 'drain #4, transferring'],
      ...passed
    ]),
    'a later verdict counts': withTwo([
      ...running('hold'),
      ['10000 ms pass', 'trial undecided'],
      ['3600000 ms pass'],
      ['trial ends: worse', 'drain #3, transferring', 'drain #4, transferring'],
      ...rolledBack
    ]),
    'another reload takes its place': {
      workers: 1,
      limits,
      steps: [
        ...serving(1),
        ['reload', 'fork #2: slot 0, generation 2'],
        ['ready 2'],
        ['trial begins without control, undecided: hold'],
        ['10000 ms pass', 'trial undecided'],
        ['reload', 'drain #2, transferring'],
        ['left 2', 'rollout 2 failed: another reload was requested', 'fork #3: slot 0, generation 3']
      ]
    }
  },
  'what happens during a trial': {
    'a reload is remembered': {
      workers: 1,
      limits,
      steps: [
        ...serving(1),
        ['reload', 'fork #2: slot 0, generation 2'],
        ['ready 2'],
        ['trial begins without control, undecided: continue'],
        ['reload'],
        ['10000 ms pass', 'trial undecided', 'drain #1, transferring'],
        ['left 1', 'rollout 2 done', 'fork #3: slot 0, generation 3']
      ]
    },
    'an old worker that crashes is replaced by one of the old release': withTwo([
      ...running(),
      ['dies 2', 'fork #5: slot 1, generation 1'],
      ['dies 1', 'fork #6: slot 0, generation 1'],
      ['ready 5'],
      ['ready 6']
    ]),
    'old workers are recycled': {
      workers: 2,
      limits,
      steps: [...running(), ['recycle 2', 'fork #5: slot 1, generation 1'], ['ready 5', 'drain #2, transferring']]
    },
    'new slots run the old release, and slots that are not wanted end': withTwo([
      ...running(),
      ['scale 3', 'fork #5: slot 2, generation 1'],
      ['ready 5'],
      ['scale 1', 'drain #2, transferring', 'drain #5, transferring'],
      ['left 2'],
      ['left 5'],
      ['trial ends: worse', 'drain #3, transferring', 'drain #4, transferring']
    ]),
    'an old worker that needs too much memory is recycled, and the canary is not blamed': {
      workers: 2,
      limits: { ...limits, maxMemoryBytes: 100e6, memorySamples: 1 },
      steps: [...running(), ['heartbeat 2 of MB 101', 'fork #5: slot 1, generation 1']]
    },
    'a stop ends it without a verdict, even when its time is over': {
      workers: 1,
      limits,
      steps: [
        ...serving(1),
        ['reload', 'fork #2: slot 0, generation 2'],
        ['ready 2'],
        ['trial begins without control, undecided: continue'],
        ['10000 ms pass unnoticed'],
        ['stop', 'rollout 2 stopped: the service stops']
      ]
    },
    'a stop ends it': {
      workers: 1,
      limits,
      steps: [
        ...serving(1),
        ['reload', 'fork #2: slot 0, generation 2'],
        ['ready 2'],
        ['trial begins, undecided: hold', 'fork #3: slot 0, generation 1, control'],
        ['ready 3'],
        ['stop', 'rollout 2 stopped: the service stops'],
        ['port closed', 'drain #1', 'drain #2', 'drain #3']
      ]
    }
  }
})

test('a remembered reload keeps what was asked of it', () => {
  const scenario = new Scenario(1)
  for (const [what] of [...serving(1), ['reload'] as Step]) applyStep(scenario, what)
  scenario.handle({ type: 'reload', request: { share: 0.2 } })
  scenario.handle({ type: 'exit', id: 2, cause: 'exit code 1', random: 1 })
  assert.deepEqual(scenario.state.rollout, { generation: 3, request: { share: 0.2 } })
})
