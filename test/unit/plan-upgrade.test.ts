import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forkCause } from '../../src/primary/policy/plan-rollout.ts'
import { serviceView } from '../../src/primary/policy/service-view.ts'
import { type Event, initialState, type Share } from '../../src/primary/policy/types.ts'
import { applyStep, Scenario, serving } from '../helpers/policy-scenario.ts'

const share = (scenario: Scenario, slots: Share | undefined) => scenario.handle({ type: 'share', share: slots })

function serve(workers: number): Scenario {
  const scenario = new Scenario(workers)
  for (const [what, ...done] of serving(workers)) assert.deepEqual(applyStep(scenario, what), done)
  return scenario
}

/** The primary that replaces another one, with no slot yet. */
function candidate(): Scenario {
  const scenario = new Scenario(2)
  scenario.state = initialState(2, 1, { from: 0, to: 0, isCandidate: true })
  return scenario
}

test('a primary drains the workers of the slots that another one takes, and forks them again when it gives them back', () => {
  const scenario = serve(2)
  assert.deepEqual(share(scenario, { from: 1, to: 2 }), ['drain #1, transferring'])
  assert.equal(serviceView(scenario.state, scenario.limits, () => true).state, 'upgrading')
  assert.deepEqual(applyStep(scenario, 'left 1'), [])
  assert.deepEqual(share(scenario, undefined), ['fork #3: slot 0, generation 1'])
})

test('connections that the other primary cannot serve are closed in order', () => {
  const isolated: (true | undefined)[] = []
  const scenario = serve(1)
  scenario.onAction = (action) => action.type === 'drain' && isolated.push(action.isIsolated)
  share(scenario, { from: 0, to: 0, isIsolated: true })
  assert.deepEqual(isolated, [true])
})

test('a worker that has not booted is killed when another primary takes its slot', () => {
  const scenario = new Scenario(1)
  applyStep(scenario, 'start')
  const what = { from: 0, to: 0, isIsolated: true } as const
  assert.deepEqual(share(scenario, what), ['kill #1: the other primary serves the slot'])
})

test('the first failure of a candidate is its cause, and it starts no more workers', () => {
  const scenario = candidate()
  assert.deepEqual(applyStep(scenario, 'start'), [], 'it has no slot yet')
  assert.deepEqual(share(scenario, { from: 0, to: 2, isCandidate: true }), [
    'fork #1: slot 0, generation 1',
    'fork #2: slot 1, generation 1'
  ])
  assert.deepEqual(applyStep(scenario, 'dies 1'), [])
  assert.deepEqual(applyStep(scenario, 'dies 2'), [])
  assert.equal(scenario.state.share?.failure, 'worker 0 ended before it was ready (exit code 1)')
  assert.deepEqual(scenario.advance(3_600_000), [])
})

test('a generation that another primary has used is not used again', () => {
  const scenario = serve(1)
  for (const generation of [7, 3]) scenario.handle({ type: 'generation-used', generation })
  assert.deepEqual(applyStep(scenario, 'reload'), ['fork #2: slot 0, generation 8'])
})

test('while the code on disk changes, a slot is not forked', () => {
  const scenario = serve(2)
  const later: Event = { type: 'fork-deferred', slot: 0, ms: 1000 }
  scenario.handle(later)
  assert.deepEqual(applyStep(scenario, 'dies 1'), ['fork #3: slot 0, generation 1'], 'the exit sets the pause anew')
  scenario.forksFail = 'at once'
  applyStep(scenario, 'dies 3')
  scenario.forksFail = undefined
  scenario.handle(later)
  assert.deepEqual(scenario.advance(999), [])
  assert.deepEqual(scenario.advance(1), ['fork #4: slot 0, generation 1'])
  assert.equal(scenario.state.slots[0]?.reason, 'boot-failure')
})

test('a fork that was deferred for the code on disk is not said to follow a crash', () => {
  const scenario = serve(1)
  scenario.handle({ type: 'fork-deferred', slot: 1, ms: 1000 })
  assert.equal(forkCause(scenario.state, 1), 'wanted')
})
