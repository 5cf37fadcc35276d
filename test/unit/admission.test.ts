import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { Admission } from '../../src/worker/connections/admission.ts'

/** A connection whose reads of the address are counted. */
class FakeSocket extends EventEmitter {
  reads = 0
  readonly #address: string

  constructor(address = '192.0.2.1') {
    super()
    this.#address = address
  }

  get remoteAddress(): string {
    this.reads++
    return this.#address
  }
}

function enter(admission: Admission, socket: FakeSocket, open = 0) {
  const connection = socket as unknown as Socket
  const refusal = admission.check(connection, open)
  if (!refusal) admission.enter(connection)
  return refusal
}

test('without a limit per client no connection pays for the system call that reads its address', () => {
  const socket = new FakeSocket()
  assert.equal(enter(new Admission({ maxConnections: 10, maxConnectionsPerClient: 0 }), socket), undefined)
  assert.equal(socket.reads, 0)
})

test('the limits of the worker and of each client refuse what is beyond them, until a connection closes', () => {
  const admission = new Admission({ maxConnections: 3, maxConnectionsPerClient: 1, trustProxy: ['198.51.100.0/24'] })
  const first = new FakeSocket()
  assert.equal(enter(admission, first, 0), undefined)
  assert.equal(enter(admission, new FakeSocket(), 1), 'client')
  assert.equal(enter(admission, new FakeSocket('192.0.2.2'), 1), undefined)
  for (let i = 0; i < 2; i++) assert.equal(enter(admission, new FakeSocket('198.51.100.7'), 2), undefined)
  assert.equal(enter(admission, new FakeSocket('192.0.2.3'), 3), 'worker')
  first.emit('close')
  assert.equal(enter(admission, new FakeSocket(), 2), undefined)
  assert.deepEqual(admission.refused, { worker: 1, client: 1, 'proxy-header': 0 })
})
