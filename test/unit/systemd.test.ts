import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { ServiceView, WorkerView } from '../../src/ipc/messages.ts'
import { enqueue, type Message, readySlots, SystemdMessages } from '../../src/primary/host/systemd.ts'

type Brief = [slot: number, generation: number, status: WorkerView['status']]

function view(state: ServiceView['state'], ...workers: Brief[]): ServiceView {
  const listed = workers.map(([slot, generation, status], i) => ({ slot, pid: 100 + i, generation, status }))
  return { state, desired: 2, workers: listed, redis: true }
}

const running = view('running', [0, 1, 'ready'], [1, 1, 'ready'])
const reloading = view('reloading', [0, 2, 'starting'], [0, 1, 'ready'], [1, 1, 'ready'])
const RELOADING = ['RELOADING=1', 'MONOTONIC_USEC=7']

/** A messages that has said READY. */
function started(): SystemdMessages {
  const messages = new SystemdMessages()
  messages.changed(running, 0n)
  return messages
}

const withoutStatus = (messages: Message[]) =>
  messages.map((message) => message.filter((assignment) => !assignment.startsWith('STATUS=')))
const statusOf = (messages: Message[]) => messages.at(-1)?.find((assignment) => assignment.startsWith('STATUS='))

describe('notifications for systemd', () => {
  test('READY comes once, when every worker is ready', () => {
    const messages = new SystemdMessages()
    const none = view('starting', [0, 1, 'starting'], [1, 1, 'starting'])
    assert.deepEqual(messages.changed(none, 0n), [['STATUS=starting: 0 of 2 workers ready']])
    const one = view('running', [0, 1, 'ready'], [1, 1, 'starting'])
    assert.deepEqual(messages.changed(one, 0n), [['STATUS=running: 1 of 2 workers ready, generation 1']])
    assert.deepEqual(messages.changed(running, 0n), [['READY=1', 'STATUS=running: 2 of 2 workers ready, generation 1']])
    messages.changed(one, 0n)
    assert.deepEqual(withoutStatus(messages.changed(running, 0n)), [[]], 'a crash and its replacement are no READY')
  })

  test('no message comes without a change', () => {
    assert.deepEqual(started().changed({ ...running, workers: [...running.workers].reverse() }, 0n), [])
  })

  test('RELOADING comes once per rollout with its time, and READY at its end', () => {
    const messages = started()
    assert.deepEqual(messages.changed(reloading, 7n), [
      [...RELOADING, 'STATUS=reloading: 2 of 2 workers ready, generation 1']
    ])
    const half = view('reloading', [0, 2, 'ready'], [1, 1, 'ready'])
    assert.deepEqual(messages.changed(half, 8n), [['STATUS=reloading: 2 of 2 workers ready, generation 1 and 2']])
    const done = view('running', [0, 2, 'ready'], [1, 2, 'ready'])
    assert.deepEqual(messages.rolloutEnded({ outcome: 'done' }, done), [
      ['READY=1', 'STATUS=running: 2 of 2 workers ready, generation 2']
    ])
    assert.deepEqual(messages.changed(done, 9n), [])
  })

  test('a failed rollout ends with READY, and its reason stays in the status until the next one', () => {
    const messages = started()
    messages.changed(reloading, 7n)
    const said = messages.rolloutEnded({ outcome: 'failed', why: 'worker 0 cannot boot:\n  READY=1' }, running)
    const text = 'running: 2 of 2 workers ready, generation 1; the last reload failed: worker 0 cannot boot: READY=1'
    assert.deepEqual(said, [['READY=1', `STATUS=${text}`]])
    assert.match(statusOf(messages.changed({ ...running, redis: false }, 8n))!, /generation 1, Redis away; the last/)
    assert.doesNotMatch(statusOf(messages.changed(reloading, 9n))!, /failed/)
  })

  test('a rollout that follows at once is a reload of its own', () => {
    const messages = started()
    messages.changed(reloading, 7n)
    assert.deepEqual(withoutStatus(messages.rolloutEnded({ outcome: 'done' }, reloading)), [['READY=1']])
    const second = view('reloading', [0, 3, 'starting'], [0, 2, 'ready'], [1, 2, 'ready'])
    assert.deepEqual(withoutStatus(messages.changed(second, 20n)), [['RELOADING=1', 'MONOTONIC_USEC=20']])
  })

  test('a rollout that waits for its turn among hosts is a reload, which a refusal ends with its reason', () => {
    const messages = started()
    assert.deepEqual(withoutStatus(messages.turnRequested(running, 7n)), [RELOADING])
    assert.deepEqual(withoutStatus(messages.changed(reloading, 8n)), [[]])
    const said = messages.rolloutEnded({ outcome: 'refused', why: 'web-1 failed' }, running)
    const text = 'running: 2 of 2 workers ready, generation 1; the last reload failed: web-1 failed'
    assert.deepEqual(said, [['READY=1', `STATUS=${text}`]])
    assert.deepEqual(withoutStatus(messages.turnRequested(running, 9n)), [['RELOADING=1', 'MONOTONIC_USEC=9']])
  })

  test('READY comes before RELOADING when a rollout starts before the service is ready', () => {
    const messages = new SystemdMessages()
    const early = view('reloading', [0, 2, 'starting'], [0, 1, 'ready'], [1, 1, 'starting'])
    assert.deepEqual(withoutStatus(messages.changed(early, 6n)), [[]])
    assert.deepEqual(withoutStatus(messages.changed(reloading, 7n)), [['READY=1'], RELOADING])
  })

  test('STOPPING comes once, and no READY after it', () => {
    const messages = started()
    messages.changed(reloading, 7n)
    const draining = view('draining', [0, 1, 'ready'], [1, 1, 'ready'])
    assert.deepEqual(messages.rolloutEnded({ outcome: 'stopped', why: 'the service stops' }, draining), [])
    assert.deepEqual(messages.changed(draining, 8n), [
      ['STOPPING=1', 'STATUS=draining: 2 of 2 workers ready, generation 1']
    ])
    assert.deepEqual(messages.changed(view('draining'), 9n), [['STATUS=draining: 0 of 2 workers ready']])
  })

  test('the status fits into one message', () => {
    const messages = started()
    messages.changed(reloading, 7n)
    const said = statusOf(messages.rolloutEnded({ outcome: 'failed', why: 'x'.repeat(9000) }, running))!
    assert.equal(said.length, 'STATUS='.length + 500)
  })
})

test('the status counts wanted slots, not processes', () => {
  assert.equal(readySlots(view('running', [0, 1, 'ready'], [0, 2, 'ready'], [1, 1, 'draining'], [2, 1, 'ready'])), 1)
})

describe('queued messages', () => {
  test('keep their order, and only the newest status and watchdog message is kept', () => {
    const sent: Message[] = [
      ['READY=1', 'STATUS=a'],
      ['STATUS=b'],
      ['WATCHDOG=1'],
      ['RELOADING=1', 'MONOTONIC_USEC=7', 'STATUS=c'],
      ['WATCHDOG=1']
    ]
    const waiting = sent.reduce<Message[]>(enqueue, [])
    assert.deepEqual(waiting, [['READY=1'], ['RELOADING=1', 'MONOTONIC_USEC=7', 'STATUS=c'], ['WATCHDOG=1']])
  })

  test('states are never dropped, not even repeated ones', () => {
    const sent: Message[] = [['READY=1'], ['RELOADING=1', 'MONOTONIC_USEC=7'], ['READY=1'], ['STOPPING=1']]
    assert.deepEqual(sent.reduce<Message[]>(enqueue, []), sent)
  })
})
