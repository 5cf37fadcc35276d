import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import { loadConfig } from '../../src/config/load.ts'
import { Connections } from '../../src/worker/connections/connections.ts'
import { Drain, type DrainOptions } from '../../src/worker/connections/drain.ts'
import { MAX_IN_TRANSFER } from '../../src/worker/transfer/transfer-ids.ts'
import { startOnDemand } from '../helpers/answer-on-demand.ts'
import { Authority } from '../helpers/certificates.ts'
import { cleanup } from '../helpers/cleanup.ts'
import { Connection, freePort } from '../helpers/http.ts'
import { Http2Client } from '../helpers/http2.ts'
import { until } from '../helpers/until.ts'

const OPTIONS: DrainOptions = { graceMs: 60_000, lingerMs: 100, deadlineMs: 60_000 }

/** A worker with these idle connections, and one route that answers when the test says so. */
async function startIdle(t: TestContext, count: number) {
  const { port, connections, events } = await startOnDemand(t)
  const idle = await Promise.all(Array.from({ length: count }, () => Connection.open(port)))
  for (const connection of idle) assert.equal((await connection.request('GET', '/livez')).status, 200)
  // Its side may learn later than a client that an answer is complete.
  await until(() => connections.idle().length === count, 'as many idle connections')
  return { port, connections, idle, events }
}

test('a connection that the primary does not get stays here, serves, and is offered again', async (t) => {
  const { connections, idle } = await startIdle(t, 1)
  const ids: number[] = []
  const drain = new Drain(connections, {
    ...OPTIONS,
    transfer: async (id) => {
      ids.push(id)
      if (ids.length < 3) return false
      setImmediate(() => drain.onTransferred(id))
      return true
    }
  })
  await connections.acceptor.stop()
  assert.equal((await drain.run()).handedOver, 1)
  assert.equal(new Set(ids).size, 3, 'each offer has an id of its own')
  await until(() => idle[0]!.ended, 'the end of the connection here')
})

test('a client that has left while its connection was on the way is not read from again', async (t) => {
  const { connections, idle } = await startIdle(t, 1)
  const [connection] = connections.registry.all
  const drain = new Drain(connections, {
    ...OPTIONS,
    transfer: async () => {
      idle[0]!.socket.destroy()
      connection!.socket.destroy()
      return false
    }
  })
  await connections.acceptor.stop()
  assert.equal((await drain.run()).handedOver, 0)
})

test('a worker whose connections no other worker takes reports before its deadline that it lingers', async (t) => {
  const { connections, events } = await startIdle(t, 1)
  const settled = once(events, 'settled').then(([counts]) => counts)
  const ids: number[] = []
  const drain = new Drain(connections, {
    ...OPTIONS,
    deadlineMs: 4000,
    lingerTimeoutMs: 60_000,
    transfer: async (id) => ids.push(id) > 0,
    onSettled: ({ counts }) => events.emit('settled', counts)
  })
  await connections.acceptor.stop()
  const drained = drain.run()
  assert.deepEqual(await Promise.race([settled, drained.then(() => 'ended without a report')]), { idle: 1 })
  drain.onTransferred(ids[0]!)
  assert.equal((await drained).handedOver, 1)
})

test('when the primary dies, what it has is left to it, the rest is closed in order, and a late answer changes nothing', async (t) => {
  const count = MAX_IN_TRANSFER + 2
  const { connections, events, port } = await startIdle(t, count)
  const asked = once(events, 'asked')
  const answer = (await Connection.open(port)).request('GET', '/slow')
  await asked
  const ids: number[] = []
  const drain = new Drain(connections, { ...OPTIONS, transfer: async (id) => ids.push(id) > 0 })
  await connections.acceptor.stop()
  const drained = drain.run()
  await until(() => ids.length === MAX_IN_TRANSFER, 'as many transfers as there may be at a time')
  // An answer makes the drain look for what can move; it has found enough.
  events.emit('answer', 'late')
  assert.deepEqual((await answer).body, '["late"]')
  drain.primaryDied()
  drain.hurry({ ...OPTIONS, graceMs: 0 })
  // The first one makes room for a connection that would have followed.
  for (const id of ids) drain.onTransferred(id)
  drain.onTransferred(ids[0]!)
  const { handedOver, idle, cut } = await drained
  assert.deepEqual({ handedOver, rest: idle }, { handedOver: MAX_IN_TRANSFER, rest: 3 })
  assert.equal(cut, 0)
})

test('a request that is not answered in time is cut, and the report says so', async (t) => {
  const { connections, events, port } = await startIdle(t, 0)
  const asked = once(events, 'asked')
  const refused = assert.rejects((await Connection.open(port)).request('GET', '/slow'))
  await asked
  const drain = new Drain(connections, { ...OPTIONS, deadlineMs: 10 })
  await connections.acceptor.stop()
  const { cut, cuts } = await drain.run()
  await refused
  assert.deepEqual({ cut, cuts }, { cut: 1, cuts: [{ kind: 'request', reason: 'deadline', count: 1 }] })
})

test('an idle HTTP/2 session gets GOAWAY', async (t) => {
  const { cert, key } = new Authority(t).sign('worker')
  const { http, tls } = loadConfig({ TLS_CERT: cert, TLS_KEY: key })
  const connections = new Connections(http, { ...tls!, ticketKeys: randomBytes(48) })
  connections.serve((_, response) => response.end('answer'))
  cleanup(t, () => connections.acceptor.stop())
  const port = await freePort()
  await connections.acceptor.startReusePort(port, '127.0.0.1')
  const client = await Http2Client.open(port)
  assert.equal((await client.get('/')).body, 'answer')
  const goaway = once(client.session, 'goaway')
  const drained = new Drain(connections, { ...OPTIONS, graceMs: 0 }).run()
  await goaway
  assert.equal((await drained).cut, 0)
})

test('a connection with several requests under way is transferred after the last answer', async (t) => {
  const { connections, events, port } = await startIdle(t, 0)
  const client = await Connection.open(port)
  const answers = [client.request('GET', '/slow'), client.request('GET', '/slow')]
  await until(() => events.listenerCount('answer') === 2, 'two requests')
  const [connection] = connections.registry.all
  const drain = new Drain(connections, {
    ...OPTIONS,
    transfer: async (id) => {
      assert.equal(connection!.busy, 0)
      setImmediate(() => drain.onTransferred(id))
      return true
    }
  })
  await connections.acceptor.stop()
  const drained = drain.run()
  events.emit('answer', 'now')
  for (const answer of answers) assert.equal((await answer).body, '["now"]')
  assert.equal((await drained).handedOver, 1)
})
