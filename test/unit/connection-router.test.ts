import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createLog } from '../../src/common/log.ts'
import { AcceptGate } from '../../src/net/accept-gate.ts'
import { Descriptors } from '../../src/net/file-descriptors.ts'
import { takeHandle } from '../../src/node-internals/tcp-handle.ts'
import { ClientAddresses } from '../../src/primary/listener/client-address.ts'
import { ConnectionRouter } from '../../src/primary/listener/connection-router.ts'
import type { ConnectionOffer, RoutingTarget, TcpHandle } from '../../src/primary/listener/routed-connection.ts'
import { cleanup } from '../helpers/cleanup.ts'
import { until } from '../helpers/until.ts'

const log = await createLog({ logLevel: 'silent' }, { role: 'primary' })
const resume = { head: '', events: [] } as never

/** A connection from this address, and whether its descriptor is closed. */
function connectionFrom(address = '203.0.113.5') {
  const connection = { closed: false, handle: {} as TcpHandle }
  connection.handle = {
    close: () => {
      connection.closed = true
    },
    readStop: () => {},
    getpeername: (out: { address?: string }) => {
      out.address = address
      return 0
    }
  } as unknown as TcpHandle
  return connection
}

/** A worker, and what it was offered. */
function worker(id: number, more: Partial<RoutingTarget> = {}) {
  const offers: ConnectionOffer[] = []
  const offer = async (offered: ConnectionOffer) => offers.push(offered) > 0
  return { offers, target: { id, slot: id, offer, responds: async () => true, ...more } as RoutingTarget }
}

test('sticky clients stay with their slot, but connections at ADMIN_PORT go to the worker with the fewest', () => {
  const router = new ConnectionRouter(log, { clients: new ClientAddresses() })
  const workers = [0, 1, 2, 3].map((id) => worker(id))
  router.setTargets(workers.map(({ target }) => target))
  for (let i = 0; i < 8; i++) router.accept(connectionFrom().handle)
  assert.deepEqual(workers.map(({ offers }) => offers.length).sort(), [0, 0, 0, 8])
  assert.equal(router.newConnections, 8)
  router.accept(connectionFrom().handle, true)
  assert.deepEqual(workers.map(({ offers }) => offers.length).sort(), [0, 0, 1, 8])
  assert.equal(router.newConnections, 8)
  const [admin] = workers.find(({ offers }) => offers.length === 1)!.offers
  assert.deepEqual(admin?.origin, { admin: true })
})

test('a connection that moves keeps the bytes that were read, its origin, and the client that a proxy named', () => {
  const clients = new ClientAddresses({ trustProxy: ['10.0.0.0/8'] })
  const router = new ConnectionRouter(log, { clients })
  const workers = [0, 1, 2, 3].map((id) => worker(id))
  router.setTargets(workers.map(({ target }) => target))
  const origin = { client: { address: '203.0.113.5', port: 1 } }
  for (let i = 0; i < 4; i++) {
    router.transfer({ handle: connectionFrom('10.0.0.1').handle, slot: 9, head: 'R0VU', origin }, () => {})
  }
  const [offers, ...others] = workers.map((one) => one.offers).sort((a, b) => b.length - a.length)
  assert.deepEqual(
    offers?.map(({ head, origin: kept }) => ({ head, kept })),
    Array(4).fill({ head: 'R0VU', kept: origin })
  )
  assert.deepEqual(others, [[], [], []])
  router.transfer({ handle: connectionFrom().handle, slot: 2 }, () => {})
  assert.equal(workers[2]!.offers.at(-1)?.origin, undefined)
})

test('an answer of a worker that was not offered the connection changes nothing', async () => {
  const router = new ConnectionRouter(log)
  const { target, offers } = worker(1)
  router.setTargets([target])
  const connection = connectionFrom()
  router.accept(connection.handle)
  const { id } = offers[0]!
  router.accepted(id, 2)
  router.taken(id, 2)
  router.returned(id, 2)
  router.accepted(99, 1)
  assert.equal(connection.closed, false)
  const settled = router.settled()
  router.accepted(id, 1)
  await settled
  assert.equal(connection.closed, true)
  await router.settled()
})

test('a connection in use goes back when workers are there and none can continue it, and waits while there is none', () => {
  const router = new ConnectionRouter(log)
  const told: boolean[] = []
  const connection = connectionFrom()
  router.transfer({ handle: connection.handle, slot: 0, resume }, (lost) => told.push(lost))
  assert.deepEqual(told, [])
  router.setTargets([worker(1).target])
  assert.deepEqual(told, [true])
  assert.equal(connection.closed, true)
})

test('a connection whose worker of the trial takes no more goes to another worker', () => {
  const router = new ConnectionRouter(log)
  router.trial = { canary: 1, control: 2, share: 0.5, seed: 1 }
  const canary = worker(1, { room: 0 })
  const control = worker(2, { room: 0 })
  const old = worker(3)
  router.setTargets([canary.target, control.target, old.target])
  for (let i = 0; i < 3; i++) router.accept(connectionFrom().handle)
  assert.equal(old.offers.length, 3)
})

test('when the service gives up, a connection in use that a worker may have is not reported as lost', () => {
  const router = new ConnectionRouter(log)
  const told: boolean[] = []
  router.setTargets([worker(1, { resumes: true, room: 1 }).target])
  for (let i = 0; i < 2; i++) {
    router.transfer({ handle: connectionFrom().handle, slot: 1, resume }, (lost) => told.push(lost))
  }
  router.giveUp()
  assert.deepEqual(told, [false, true])
})

test('a connection that another primary has taken is not offered again when that primary dies', async () => {
  const router = new ConnectionRouter(log)
  const [taken, untaken] = [connectionFrom(), connectionFrom()]
  const [other, own] = [worker(1), worker(2)]
  router.setTargets([own.target])
  router.accept(connectionFrom().handle)
  const [unconcerned] = own.offers.splice(0)
  router.setTargets([other.target])
  router.accept(taken.handle)
  router.accept(untaken.handle)
  router.taken(other.offers[0]!.id, 1)
  router.setTargets([own.target])
  router.workerExited(1)
  // The router reads what the worker sent before its exit first, which takes two turns.
  for (let i = 0; i < 3; i++) await nextTurn()
  assert.deepEqual([taken.closed, untaken.closed], [true, false])
  assert.deepEqual(
    own.offers.map(({ id }) => id),
    [other.offers[1]!.id],
    `${unconcerned!.id} stays where it is`
  )
})

test('a connection that another primary took and gives back is lost to its worker', () => {
  const router = new ConnectionRouter(log)
  const told: boolean[] = []
  const other = worker(1)
  router.setTargets([other.target])
  router.transfer({ handle: connectionFrom().handle, slot: 0 }, (lost) => told.push(lost))
  const { id } = other.offers[0]!
  router.taken(id, 1)
  router.returned(id, 1)
  assert.deepEqual(told, [true])
})

test('the gate that pauses accepting always knows how many connections are on their way', () => {
  const gate = new AcceptGate(new Descriptors(() => 1_000_000 - 9, Number.POSITIVE_INFINITY), log)
  const rooms: number[] = []
  const update = gate.update.bind(gate)
  gate.update = (connections) => {
    rooms.push(connections)
    return update(connections)
  }
  const router = new ConnectionRouter(log, { gate })
  const { target, offers } = worker(1)
  router.setTargets([target])
  router.accept(connectionFrom().handle)
  router.accept(connectionFrom().handle)
  for (const { id } of offers) router.accepted(id, 1)
  assert.deepEqual(rooms, [1, 2, 1, 0])
})

test('a connection that did not arrive is offered to another worker, and one that has arrived is not', async () => {
  const answers: ((responded: boolean) => void)[] = []
  const silent = worker(1, { responds: () => new Promise((resolve) => answers.push(resolve)) })
  const other = worker(2)
  const router = new ConnectionRouter(log)
  router.setTargets([silent.target])
  router.accept(connectionFrom().handle)
  await until(() => answers.length > 0, 'a question to the worker')
  router.accepted(silent.offers[0]!.id, 1)
  answers.shift()!(true)
  await nextTurn()
  assert.equal(silent.target.room, undefined, 'nothing is missing')
  router.accept(connectionFrom().handle)
  await until(() => answers.length > 0, 'another question')
  router.setTargets([silent.target, other.target])
  answers.shift()!(true)
  await until(() => other.offers.length > 0, 'an offer to the other worker')
  assert.equal(silent.target.room, 0)
  assert.equal(other.offers[0]!.id, silent.offers[1]!.id)
})

test('a connection that cannot be sent goes to another worker, unless it has moved on by then', async () => {
  const answers: ((sent: boolean) => void)[] = []
  const ids: number[] = []
  const unreachable = worker(1, {
    offer: ({ id }) => {
      ids.push(id)
      return new Promise((resolve) => answers.push(resolve))
    }
  })
  const other = worker(2)
  const router = new ConnectionRouter(log)
  router.setTargets([unreachable.target])
  for (let i = 0; i < 3; i++) router.accept(connectionFrom().handle)
  router.accepted(ids[0]!, 1)
  answers[0]!(false)
  router.setTargets([unreachable.target, other.target])
  answers[1]!(false)
  await until(() => other.offers.length > 0, 'an offer to the other worker')
  router.setTargets([other.target])
  router.workerExited(1)
  await until(() => other.offers.length > 1, 'another offer')
  answers[2]!(false)
  await nextTurn()
  assert.deepEqual(
    other.offers.map(({ id }) => id),
    ids.slice(1)
  )
  assert.equal(router.rerouted, 2)
})

test('behind a proxy, a connection is offered with the head that names its client, and not if the client has broken off', async (t) => {
  const handles: TcpHandle[] = []
  const server = createServer({ pauseOnConnect: true }, (socket) => void handles.push(takeHandle(socket) as never))
  cleanup(t, () => server.close())
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  const router = new ConnectionRouter(log, { clients: new ClientAddresses({ trustProxy: ['127.0.0.0/8'] }) })
  const { target, offers } = worker(1)
  router.setTargets([target])
  const [leaver, client] = [connect(port, '127.0.0.1'), connect(port, '127.0.0.1')]
  cleanup(t, () => client.destroy())
  await until(() => handles.length === 2, 'two connections')
  const head = 'GET / HTTP/1.1\r\nX-Forwarded-For: 203.0.113.5\r\n\r\n'
  client.write(head)
  for (const handle of handles) router.accept(handle)
  leaver.resetAndDestroy()
  await until(() => offers.length > 0, 'an offer')
  assert.equal(Buffer.from(offers[0]!.head!, 'base64').toString(), head)
  router.accepted(offers[0]!.id, 1)
  await router.settled()
  assert.equal(offers.length, 1)
})
