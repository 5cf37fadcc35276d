import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { plan } from '../../src/primary/policy/plan.ts'
import { reduce } from '../../src/primary/policy/reduce.ts'
import type { Event, State } from '../../src/primary/policy/types.ts'
import { applyStep, Scenario, type StepEvent, serving } from '../helpers/policy-scenario.ts'

const begins: Event = { type: 'trial-begins', share: 0.05, maxMs: 10_000, wantsControl: true, undecided: 'continue' }

/** The state after some steps, and then after events that no action follows yet. */
function after(workers: number, steps: StepEvent[], ...events: Event[]): State {
  const scenario = new Scenario(workers, { canaryMs: 1000 })
  for (const [what] of serving(workers)) applyStep(scenario, what)
  for (const what of steps) applyStep(scenario, what)
  return events.reduce(next, scenario.state)
}

const next = (state: State, event: Event) => reduce(state, event, 0, new Scenario(1).limits)

describe('a canary is not judged', () => {
  const states: Record<string, State> = {
    'without a rollout': after(1, []),
    'before it is started': after(1, [], { type: 'reload' }),
    'while it starts': after(1, ['reload']),
    'beside no old worker': after(2, ['reload', 'dies 1'], { type: 'ready', id: 3 }),
    'when another slot has a worker of the new release, too': after(2, ['reload', 'ready 3', 'dies 2']),
    'when its rollout has failed': after(1, ['reload', 'ready 2'], { type: 'rollout-failed', cause: 'too slow' }),
    'when it was promoted': after(1, ['reload', 'ready 2'], { type: 'promote' }),
    'when it has passed': after(1, ['reload', 'ready 2'], begins, {
      type: 'trial-ended',
      outcome: 'no worse',
      cause: 'as good'
    }),
    'twice at the same time': after(1, ['reload', 'ready 2'], begins)
  }
  for (const [name, state] of Object.entries(states)) test(name, () => assert.equal(next(state, begins), state))

  test('but it is where it serves beside an old worker', () => {
    assert.equal(next(after(1, ['reload', 'ready 2']), begins).rollout?.trial?.canary, 2)
  })
})

test('an event that comes too early or too late for a trial changes nothing', () => {
  const noTrial = after(1, ['reload'])
  assert.equal(next(noTrial, { type: 'control-failed', cause: 'EAGAIN' }), noTrial)
  assert.equal(next(noTrial, { type: 'trial-ended', outcome: 'worse', cause: 'more errors' }), noTrial)
  const failed = after(1, ['reload', 'ready 2'], { type: 'rollout-failed', cause: 'too slow' })
  assert.equal(next(failed, { type: 'promote' }), failed)
})

test('a control that is forked after the end of its trial is a worker like any other', () => {
  const fork: Event = { type: 'forked', id: 9, pid: 1009, slot: 0, generation: 1, jitter: 0, control: true }
  const { workers, rollout } = next(after(1, []), fork)
  assert.deepEqual([workers.at(-1)?.id, rollout], [9, undefined])
})

test('a canary that has left gets no control', () => {
  const leaves: Event[] = [
    { type: 'drain-sent', id: 2, transfer: true },
    { type: 'exit', id: 2, cause: 'exit code 0', random: 0 }
  ]
  const state = after(1, ['reload', 'ready 2'], begins, ...leaves)
  assert.deepEqual(plan(state, new Scenario(1).limits, 0), [])
})

test('a trial does not begin to count when a worker other than its control becomes ready', () => {
  const state = after(2, ['reload', 'ready 3', 'trial begins, undecided: continue', 'dies 2', 'ready 5'])
  assert.equal(state.workers.find(({ id }) => id === 5)?.status, 'ready')
  assert.equal(state.rollout?.trial?.startedAt, undefined)
})
