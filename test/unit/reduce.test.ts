import assert from 'node:assert/strict'
import { test } from 'node:test'
import { reduce } from '../../src/primary/policy/reduce.ts'
import { serviceView } from '../../src/primary/policy/service-view.ts'
import type { Action, Event } from '../../src/primary/policy/types.ts'
import { applyStep, Scenario, type StepEvent, serving } from '../helpers/policy-scenario.ts'

function after(workers: number, ...steps: StepEvent[]): Scenario {
  const scenario = new Scenario(workers, { canaryMs: 1000 })
  for (const [what] of serving(workers)) applyStep(scenario, what)
  for (const what of steps) applyStep(scenario, what)
  return scenario
}

/** Asserts that the very same state follows. */
function changesNothing({ state, now, limits }: Scenario, event: Event): void {
  assert.equal(reduce(state, event, now + 1, limits), state, event.type)
}

test('an event about a worker that has exited changes nothing', () => {
  const scenario = after(1)
  const id = 99
  const events: Event[] = [
    { type: 'ready', id },
    { type: 'heartbeat', id, rssBytes: 1, requests: 1 },
    { type: 'exit', id, cause: 'exit code 1', random: 0 },
    { type: 'boot-failed', id, cause: 'no such APP' },
    { type: 'drain-sent', id, transfer: true },
    { type: 'protocol-violation', id, cause: 'garbage' },
    { type: 'drained', id }
  ]
  for (const event of events) changesNothing(scenario, event)
})

test('an event about a rollout or a trial that is over changes nothing', () => {
  const scenario = after(1)
  const events: Event[] = [
    { type: 'rollout-failed', cause: 'the code on disk changed' },
    { type: 'rollout-ended' },
    { type: 'control-failed', cause: 'EAGAIN' },
    { type: 'trial-ended', outcome: 'worse', cause: 'more errors' },
    { type: 'promote' }
  ]
  for (const event of events) changesNothing(scenario, event)
})

test('a trial begins to count once, and a control that serves has not failed', () => {
  const scenario = after(1, 'reload', 'ready 2', 'trial begins, undecided: continue', 'ready 3')
  const startedAt = scenario.state.rollout?.trial?.startedAt
  assert.equal(startedAt, scenario.now)
  scenario.now += 500
  applyStep(scenario, 'ready 3')
  assert.equal(scenario.state.rollout?.trial?.startedAt, startedAt)
  changesNothing(scenario, { type: 'control-failed', cause: 'EAGAIN' })
})

test('a worker that the kernel ended for want of memory counts as such, whatever its status', () => {
  const scenario = after(2, 'dies 2')
  for (const id of [1, 3]) scenario.handle({ type: 'exit', id, cause: 'SIGKILL', random: 0, oom: true })
  assert.equal(scenario.state.restarts.oom, 2)
})

test('forks and drains that follow the load say so', () => {
  const causes: string[] = []
  const scenario = after(1)
  scenario.onAction = (action: Action) => void ('cause' in action && causes.push(`${action.type}: ${action.cause}`))
  scenario.handle({ type: 'scale', desired: 2, cause: 'busy' })
  applyStep(scenario, 'ready 2')
  scenario.handle({ type: 'scale', desired: 1, cause: 'idle' })
  assert.deepEqual(causes, ['fork: scaled up: busy', 'drain: scaled down: idle'])
})

test('the state of the service follows from its workers, its rollout and its stop', () => {
  const scenario = new Scenario(1, { slotAttempts: 2 })
  const view = (...steps: StepEvent[]) => {
    for (const what of steps) applyStep(scenario, what)
    return serviceView(scenario.state, scenario.limits, () => true)
  }
  assert.deepEqual(view('start'), {
    state: 'starting',
    desired: 1,
    workers: [{ slot: 0, pid: 1001, generation: 1, status: 'starting' }],
    redis: false
  })
  assert.equal(view('ready 1').redis, true)
  assert.equal(view().state, 'running')
  assert.equal(view('reload').state, 'reloading')
  assert.equal(view('ready 2', 'left 1').state, 'running')
  assert.equal(view('dies 2').state, 'degraded')
  assert.equal(view('stop').state, 'draining')
})
