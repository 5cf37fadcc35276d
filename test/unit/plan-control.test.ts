import assert from 'node:assert/strict'
import { test } from 'node:test'
import { reduce } from '../../src/primary/policy/reduce.ts'
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

describeScenarios({
  'the control of a trial': {
    'a control that cannot boot leaves the errors of the old workers to compare with': withTwo([
      ...begun(),
      ['dies 4'],
      ['9999 ms pass'],
      ['trial ends: worse', 'drain #3, transferring'],
      ['left 3', 'rollout 2 failed: more errors']
    ]),
    'a control that still starts when the trial ends stays until an old worker serves, for its slot has no other': {
      workers: 1,
      limits,
      steps: [
        ...serving(1),
        ['reload', 'fork #2: slot 0, generation 2'],
        ['ready 2'],
        ['trial begins, undecided: continue', 'fork #3: slot 0, generation 1, control'],
        ['dies 1', 'fork #4: slot 0, generation 1'],
        ['trial ends: worse'],
        ['ready 4', 'drain #2, transferring', 'kill #3: the trial has ended'],
        ['dies 3'],
        ['left 2', 'rollout 2 failed: more errors']
      ]
    },
    'the control stays when the old worker leaves at the end': {
      workers: 1,
      limits: { ...limits, maxAgeMs: 8000 },
      steps: [
        ...serving(1),
        ['4000 ms pass'],
        ['reload', 'fork #2: slot 0, generation 2'],
        ['ready 2'],
        ['trial begins, undecided: continue', 'fork #3: slot 0, generation 1, control'],
        ['ready 3'],
        ['4000 ms pass unnoticed'],
        ['trial ends: worse', 'drain #1, transferring', 'drain #2, transferring']
      ]
    },
    'where an undecided trial is rolled back, the cause is the end of the control': withTwo([
      ...running('rollback'),
      ['1000 ms pass'],
      ['dies 4', 'drain #3, transferring'],
      ['left 3', 'rollout 2 failed: the worker that it was compared with ended (exit code 1)']
    ]),
    'a control that crashes leaves the trial undecided': {
      workers: 2,
      limits,
      steps: [...running(), ['1000 ms pass'], ['dies 4', 'drain #1, transferring']]
    },
    'the control serves the slot on if the old worker has crashed': {
      workers: 1,
      limits,
      steps: [
        ...serving(1),
        ['reload', 'fork #2: slot 0, generation 2'],
        ['ready 2'],
        ['trial begins, undecided: continue', 'fork #3: slot 0, generation 1, control'],
        ['ready 3'],
        ['dies 1', 'fork #4: slot 0, generation 1'],
        ['dies 4'],
        ['trial ends: worse', 'drain #2, transferring'],
        ['left 2', 'rollout 2 failed: more errors'],
        ['3600000 ms pass'],
        ['recycle 3', 'fork #5: slot 0, generation 1'],
        ['ready 5', 'drain #3, transferring']
      ]
    }
  }
})

test('a control that cannot be started leaves the errors of the old workers to compare with', () => {
  const scenario = new Scenario(1, limits)
  for (const what of ['start', 'ready 1', 'reload', 'ready 2'] as const) applyStep(scenario, what)
  const trial = { share: 0.05, maxMs: 10_000, wantsControl: true, undecided: 'continue' } as const
  scenario.state = reduce(scenario.state, { type: 'trial-begins', ...trial }, 0, scenario.limits)
  assert.deepEqual(scenario.handle({ type: 'control-failed', cause: 'EAGAIN' }), [])
  assert.equal(scenario.state.rollout?.trial?.startedAt, 0)
})
