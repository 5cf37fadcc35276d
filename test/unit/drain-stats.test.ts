import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { createLog } from '../../src/common/log.ts'
import { onTransferable } from '../../src/http/transferable.ts'
import { openEventStream } from '../../src/index.ts'
import { ConnectionRouter } from '../../src/primary/listener/connection-router.ts'
import type { TcpHandle } from '../../src/primary/listener/routed-connection.ts'
import { Drain } from '../../src/worker/connections/drain.ts'
import { startOnDemand } from '../helpers/answer-on-demand.ts'
import { startApp } from '../helpers/app.ts'
import { EventClient } from '../helpers/event-client.ts'
import { Connection } from '../helpers/http.ts'

const OPTIONS = { graceMs: 60_000, lingerMs: 100, deadlineMs: 60_000 }

test('a connection that the primary could not transfer counts as lost, and the statistics balance', async (t) => {
  const { port, connections } = await startApp(t, { listen: true })
  const idle = await Promise.all([1, 2, 3, 4].map(() => Connection.open(port)))
  for (const connection of idle) assert.equal((await connection.request('GET', '/livez')).status, 200)
  const drain = new Drain(connections!, {
    ...OPTIONS,
    transfer: async (id) => {
      setImmediate(() => drain.onTransferred(id, id % 2 === 0))
      return true
    }
  })
  await connections!.acceptor.stop()
  const stats = await drain.run()
  assert.deepEqual(stats, {
    total: 4,
    handedOver: 2,
    answered: 0,
    closed: 0,
    idle: 0,
    left: 0,
    cut: 0,
    lost: 2,
    waiting: 0
  })
})

test('a worker waits for a request that it answers after all others, and for nothing once it has drained', async (t) => {
  const { port, connections, events } = await startOnDemand(t)
  const asked = once(events, 'asked')
  const answered = (await Connection.open(port)).request('GET', '/slow')
  await asked
  const drain = new Drain(connections, {
    ...OPTIONS,
    lingerTimeoutMs: 60_000,
    transfer: async (id) => setImmediate(() => drain.onTransferred(id)).hasRef(),
    onSettled: ({ counts }) => events.emit('settled', counts)
  })
  const settled = once(events, 'settled')
  const drained = drain.run()
  assert.deepEqual(await settled, [{ request: 1 }])
  assert.deepEqual(drain.waitsFor()?.counts, { request: 1 })
  events.emit('answer')
  await answered
  await drained
  // A heartbeat may still follow. What it said would count as cut by the worker's exit.
  assert.equal(drain.waitsFor(), undefined)
})

test('the answer to an admin command does not begin a drain anew that has ended', async (t) => {
  const { port, connections, events } = await startOnDemand(t)
  const asked = once(events, 'asked')
  const answered = (await Connection.open(port)).request('GET', '/slow')
  await asked
  const [open] = connections.registry.all
  const settled: object[] = []
  const drain = new Drain(connections, {
    ...OPTIONS,
    lingerTimeoutMs: 60_000,
    transfer: async (id) => setImmediate(() => drain.onTransferred(id)).hasRef(),
    onSettled: ({ counts }) => {
      settled.push(counts)
      // From here on it is a command, for which no drain waits.
      const answeredCommand = connections.registry.holdForAdminRequest(open!.socket)
      events.once('answer command', answeredCommand)
    }
  })
  const report = await drain.run()
  assert.equal(report.waiting, 1)
  assert.deepEqual(settled, [{ request: 1 }])
  events.emit('answer command')
  // The heartbeat that reports what a worker waits for may come now.
  assert.equal(drain.waitsFor(), undefined)
  events.emit('answer')
  await answered
  await drain.allClosed
  assert.deepEqual(settled, [{ request: 1 }])
})

test('a connection that no worker took is reported as lost to the worker that transferred it', async () => {
  const log = await createLog({ logLevel: 'silent' }, { role: 'primary' })
  const told: boolean[] = []
  const handle = { close: () => {}, readStop: () => {} } as unknown as TcpHandle
  const router = new ConnectionRouter(log)
  router.transfer({ handle, idleMs: 1000, slot: 0 }, (lost) => told.push(lost))
  router.giveUp()
  assert.deepEqual(told, [true])
  assert.equal(router.lost, 1)
})

for (const problem of ['no worker can take it', 'the primary cannot be reached'])
  test(`a stream comes back and ends in order when ${problem}`, async (t) => {
    const requests: object[] = []
    const { port, connections, draining } = await startApp(t, {
      listen: true,
      routes: async (app) => {
        app.get('/stream', { config: { resumable: true, session: false } }, (request, reply) => {
          requests.push({ id: request.id, after: request.headers['last-event-id'] })
          openEventStream(app, reply)?.write('id: 7\ndata: x\n\n')
        })
      }
    })
    onTransferable((request) => connections!.offer(request))
    const client = await EventClient.open(port, '/stream')
    await client.has(1)
    draining.abort()
    const isSent = problem === 'no worker can take it'
    const drain = new Drain(connections!, {
      ...OPTIONS,
      resumes: true,
      transfer: async (id) => {
        if (isSent) setImmediate(() => drain.onTransferred(id, true))
        return isSent
      }
    })
    assert.equal((await drain.run()).cut, 0)
    assert.equal(await client.ended(), 'complete')
    assert.deepEqual(
      client.events.map(({ id, event }) => id ?? event),
      ['7', 'bye']
    )
    const id = client.response.headers['x-request-id']
    assert.deepEqual(requests, [
      { id, after: undefined },
      { id, after: '7' }
    ])
  })

test('while the service stops, an idle connection comes back to its worker and is closed in order', async (t) => {
  const log = await createLog({ logLevel: 'silent' }, { role: 'primary' })
  const router = new ConnectionRouter(log)
  router.takesTransfers = false
  const { port, connections } = await startApp(t, { listen: true })
  const idle = await Connection.open(port)
  assert.equal((await idle.request('GET', '/livez')).status, 200)
  const handle = { close: () => {}, readStop: () => {} } as unknown as TcpHandle
  const drain = new Drain(connections!, {
    ...OPTIONS,
    transfer: async (id) => {
      setImmediate(() => {
        drain.hurry({ ...OPTIONS, graceMs: 10 })
        router.transfer({ handle, idleMs: 1000, slot: 0 }, (lost) => drain.onTransferred(id, lost))
      })
      return true
    }
  })
  await connections!.acceptor.stop()
  const { idle: closed, lost } = await drain.run()
  assert.deepEqual({ closed, lost }, { closed: 1, lost: 0 })
})
