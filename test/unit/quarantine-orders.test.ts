import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { test } from 'node:test'
import { createChannel } from '../../src/ipc/channel.ts'
import type { QuarantineOrders } from '../../src/ipc/quarantine.ts'
import type { PrimaryChannel } from '../../src/worker/primary-client.ts'
import { followQuarantine } from '../../src/worker/quarantine/follow-orders.ts'
import { temporaryFolder } from '../helpers/service.ts'

const NONE: QuarantineOrders = { routes: [], samples: false, traces: false }
const ONE: QuarantineOrders = { ...NONE, routes: [{ id: 1, method: 'GET', path: '/deadly', retryMs: 60_000 }] }

/** The primary of a worker, whose messages arrive when the test says so. */
class Primary extends EventEmitter {
  readonly connected = true
  #asked!: (id: number) => void
  /** Resolves with the id of the worker's request. */
  readonly asked = new Promise<number>((resolve) => {
    this.#asked = resolve
  })

  send({ id }: { id: number }, _handle: unknown, _options: unknown, done: (error: null) => void): boolean {
    this.#asked(id)
    done(null)
    return true
  }
}

/** Starts a worker's part, and lets the answer of the primary and later orders arrive in one turn of its event loop. */
async function start(t: Parameters<typeof temporaryFolder>[0], answer: QuarantineOrders, later?: QuarantineOrders) {
  const primary = new Primary()
  const follower = followQuarantine(createChannel(primary) as PrimaryChannel, [], temporaryFolder(t))
  const started = follower.start()
  const id = await primary.asked
  primary.emit('message', { response: id, result: answer })
  if (later) primary.emit('message', { type: 'quarantine', orders: later })
  await started
  return follower.guard
}

test('a worker that starts refuses the routes that are quarantined', async (t) => {
  assert.equal((await start(t, ONE)).isActive, true)
  assert.equal((await start(t, NONE)).isActive, false)
})

test('orders that arrive right behind those that a worker has asked for are not replaced by them', async (t) => {
  assert.equal((await start(t, NONE, ONE)).isActive, true)
  assert.equal((await start(t, ONE, NONE)).isActive, false)
})
