import assert from 'node:assert/strict'
import { test } from 'node:test'
import { plan } from '../../src/primary/policy/plan.ts'
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

test('an event that does not fit the status of its worker changes nothing', () => {
  const of = (id: number): Record<string, Event> => ({
    ready: { type: 'ready', id },
    heartbeat: { type: 'heartbeat', id, rssBytes: 1, requests: 1 },
    recycle: { type: 'recycle', id },
    drain: { type: 'drain-sent', id, transfer: true, recycled: 'asked' },
    settled: { type: 'settled', id },
    drained: { type: 'drained', id },
    hang: { type: 'hang-reported', id, cause: 'an endless loop' }
  })
  const starting = after(1, 'scale 2')
  for (const type of ['heartbeat', 'recycle', 'settled', 'drained', 'hang']) changesNothing(starting, of(2)[type]!)
  const ready = after(1)
  for (const type of ['ready', 'settled', 'drained', 'hang']) changesNothing(ready, of(1)[type]!)
  const draining = after(2, 'scale 1')
  for (const type of ['ready', 'recycle', 'drain', 'hang']) changesNothing(draining, of(2)[type]!)
  changesNothing(after(2, 'scale 1', 'admin request 2', 'drained 2'), of(2).settled!)
})

test('a service that stops already does not begin to stop again', () => {
  changesNothing(after(1, 'stop'), { type: 'stop' })
  changesNothing(after(1, 'stop', 'port closed'), { type: 'stop' })
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

test('a restart is counted by what was wrong with the worker', () => {
  const restarts = ({ state }: Scenario) =>
    Object.fromEntries(Object.entries(state.restarts).filter(([, count]) => count !== 0))
  const hung = after(1)
  hung.handle({ type: 'examined', id: 1, hung: true })
  for (const what of ['hang reported 1', 'dies 1'] as const) applyStep(hung, what)
  assert.deepEqual(restarts(hung), { hang: 1 })
  const garbage = after(1, 'scale 2')
  assert.deepEqual(garbage.handle({ type: 'protocol-violation', id: 2, cause: 'garbage' })[0], 'kill #2: garbage')
  applyStep(garbage, 'dies 2')
  assert.deepEqual(restarts(garbage), { crash: 1 })
  assert.deepEqual(restarts(after(1, 'no process for 0')), { 'boot-failure': 1 })
  const old = new Scenario(1, { maxAgeMs: 60_000 })
  for (const what of ['start', 'ready 1', '60000 ms pass', 'ready 2'] as const) applyStep(old, what)
  assert.deepEqual(restarts(old), { age: 1 })
})

test('a worker that crashes while the service stops is no restart', () => {
  const { state, now, limits } = after(1, 'stop')
  const closed = reduce(state, { type: 'port-closed' }, now, limits)
  const ended = reduce(closed, { type: 'exit', id: 1, cause: 'exit code 1', random: 0 }, now, limits)
  assert.equal(ended.restarts, state.restarts)
})

test('a service that can create no process ends with the reason', () => {
  const scenario = new Scenario(1)
  scenario.forksFail = 'at once'
  applyStep(scenario, 'start')
  assert.equal(applyStep(scenario, '100 ms pass').at(-1), 'exit cannot-boot: worker 0 could not be forked (EAGAIN)')
})

test('without MAX_MEMORY and MAX_REQUESTS, no worker is recycled for what it uses', () => {
  const scenario = after(1)
  for (let i = 0; i < 5; i++) scenario.handle({ type: 'heartbeat', id: 1, rssBytes: 1e12, requests: 1e9 })
  assert.equal(scenario.lastId, 1)
})

test('a worker that drains is not to be recycled, too, whatever memory it needs', () => {
  const scenario = new Scenario(2, { maxMemoryBytes: 1, memorySamples: 1 })
  for (const what of ['start', 'ready 1', 'ready 2', 'scale 1', 'heartbeat 2 of MB 100'] as const)
    applyStep(scenario, what)
  const drained = scenario.state.workers[1]
  assert.deepEqual([drained?.status, drained?.rssBytes, drained?.recycle], ['draining', 100e6, undefined])
})

test('the limits of a worker are larger by its jitter, at most by a tenth', () => {
  const scenario = new Scenario(1, { maxRequests: 1000, maxAgeMs: 60_000 })
  scenario.jitter = () => 0.5
  for (const what of ['start', 'ready 1', 'heartbeat 1 of requests 1049', '62999 ms pass'] as const)
    assert.equal(applyStep(scenario, what).length, what === 'start' ? 1 : 0, what)
  assert.equal(applyStep(scenario, '1 ms pass').length, 1, 'age')
  const busy = new Scenario(1, { maxRequests: 1000 })
  busy.jitter = () => 0.5
  for (const what of ['start', 'ready 1'] as const) applyStep(busy, what)
  assert.equal(applyStep(busy, 'heartbeat 1 of requests 1050').length, 1, 'requests')
})

test('only the worker that cannot boot is taken for one that is about to exit', () => {
  const scenario = new Scenario(2)
  for (const what of ['start', 'ready 1', 'cannot boot 2'] as const) applyStep(scenario, what)
  assert.deepEqual(
    scenario.state.workers.map(({ bootFailed }) => bootFailed),
    [undefined, true]
  )
})

test('all workers that are to end are ended by one plan', () => {
  const { state, now, limits } = after(3, 'stop')
  const actions = plan(reduce(state, { type: 'port-closed' }, now, limits), limits, now)
  assert.deepEqual(
    actions.map((action) => 'id' in action && action.id),
    [1, 2, 3]
  )
  const trial = after(1, 'reload', 'ready 2', 'trial begins, undecided: continue', 'ready 3')
  const worse: Event = { type: 'trial-ended', outcome: 'worse', cause: 'more errors' }
  const ends = plan(reduce(trial.state, worse, trial.now, trial.limits), trial.limits, trial.now)
  assert.deepEqual(
    ends.map((action) => 'id' in action && action.id),
    [2, 3]
  )
})

test('each action says why', () => {
  const causes: string[] = []
  const note = (action: Action) => void ('cause' in action && causes.push(`${action.type}: ${action.cause}`))
  const scenario = new Scenario(2, { canaryMs: 1000 })
  scenario.onAction = note
  const steps: StepEvent[] = ['start', 'ready 1', 'ready 2', 'dies 2', 'ready 3', 'recycle 1', 'ready 4', 'left 1']
  for (const what of steps) applyStep(scenario, what)
  assert.deepEqual(causes.splice(0), [
    'fork: wanted',
    'fork: wanted',
    'fork: after crash',
    'fork: recycled: asked',
    'drain: recycled: asked'
  ])
  const rollout: StepEvent[] = ['reload', 'ready 5', '1000 ms pass', 'left 4', 'code changes', 'dies 6', 'ready 7']
  for (const what of rollout) applyStep(scenario, what)
  assert.deepEqual(causes.splice(0), [
    'fork: reload',
    'drain: reload',
    'fork: reload',
    'kill: its rollout failed',
    'fork: rollback of a failed reload',
    'drain: rollback of a failed reload'
  ])
  const trial = after(1, 'reload', 'ready 2')
  trial.onAction = note
  for (const what of ['trial begins, undecided: continue', 'ready 3', 'trial ends: worse'] as const)
    applyStep(trial, what)
  assert.deepEqual(causes, [
    'fork: to compare the new release with',
    'drain: rollback of a failed reload',
    'drain: the trial has ended'
  ])
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

test('the service has Redis while every worker is connected to it', () => {
  const { state, limits } = after(2)
  const redis = (...connected: number[]) => serviceView(state, limits, (id) => connected.includes(id)).redis
  assert.deepEqual([redis(), redis(1), redis(1, 2)], [false, false, true])
})

test('the service is degraded while one slot of several fails again and again and is not served', () => {
  const scenario = new Scenario(2, { slotAttempts: 4 })
  const stateAfter = (...steps: StepEvent[]) => {
    for (const what of steps) applyStep(scenario, what)
    return serviceView(scenario.state, scenario.limits, () => true).state
  }
  assert.equal(stateAfter('start', 'ready 1', 'ready 2', 'scale 3'), 'running', 'a slot that is new')
  assert.equal(stateAfter('dies 2'), 'running', 'after one failure')
  assert.equal(stateAfter('dies 4'), 'degraded', 'after several, in the pause')
  assert.equal(stateAfter('100 ms pass', 'ready 5'), 'running')
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
