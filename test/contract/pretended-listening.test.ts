import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, get } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { type AddressInfo, createServer as createTcpServer, Server as NetServer } from 'node:net'
import { afterEach, test } from 'node:test'
import {
  allowClosing,
  interceptListen,
  listenForReal,
  pretendToListen,
  stopPretending
} from '../../src/node-internals/pretended-listening.ts'

const ADDRESS = { address: '127.0.0.1', family: 'IPv4', port: 8080 }
const { listen } = NetServer.prototype

afterEach(() => {
  NetServer.prototype.listen = listen
})

test('a server that pretends emits listening, calls back and reports its address, and binds nothing', async () => {
  const server = createServer()
  pretendToListen(server, ADDRESS, false)
  assert.deepEqual([server.listening, server.address()], [false, null])
  const calls: string[] = []
  server.on('listening', () => calls.push('event'))
  assert.equal(
    server.listen(3000, '0.0.0.0', () => calls.push('callback')),
    server
  )
  assert.deepEqual(calls, [], 'as for a real server, the caller goes on first')
  await once(server, 'listening')
  assert.deepEqual(calls, ['event', 'callback'])
  assert.deepEqual([server.listening, server.address()], [true, ADDRESS])
  assert.throws(() => server.listen(3000), { code: 'ERR_SERVER_ALREADY_LISTEN' })
  const request = get({ port: 3000, host: '127.0.0.1' })
  await assert.rejects(once(request, 'response'), { code: 'ECONNREFUSED' })
})

test('close ends it, and a server that does not listen says so', async () => {
  const server = createServer()
  pretendToListen(server, ADDRESS, false)
  const refused = await new Promise<Error | undefined>((resolve) => server.close(resolve))
  assert.equal((refused as NodeJS.ErrnoException).code, 'ERR_SERVER_NOT_RUNNING')
  server.listen()
  const closed = once(server, 'close')
  assert.equal(await new Promise<Error | undefined>((resolve) => server.close(resolve)), undefined)
  await closed
  assert.deepEqual([server.listening, server.address()], [false, null])
})

test('a server that stays open closes when it is told to stop pretending', async () => {
  const server = createServer()
  pretendToListen(server, ADDRESS, true)
  server.listen()
  let isClosed = false
  server.close(() => {
    isClosed = true
  })
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual([isClosed, server.listening], [false, true])
  stopPretending(server)
  await once(server, 'close')
  assert.equal(isClosed, true)
})

test('a server that stays open closes when it may, before or after it is told to', async () => {
  const early = createServer()
  const late = createServer()
  for (const server of [early, late]) {
    pretendToListen(server, ADDRESS, true)
    server.listen()
  }
  early.close()
  allowClosing()
  await once(early, 'close')
  assert.equal(late.listening, true)
  await new Promise((resolve) => late.close(resolve))
  assert.equal(late.listening, false)
})

test('listen of every kind of server is intercepted, with every form of its arguments', () => {
  const seen: NetServer[] = []
  interceptListen((server) => {
    seen.push(server)
    throw new Error('not here')
  })
  const servers = [createServer(), createSecureServer(), createTcpServer()]
  for (const server of servers) {
    assert.throws(() => server.listen(0), /not here/)
    assert.throws(() => server.listen({ port: 0 }), /not here/)
    assert.throws(() => server.listen('/tmp/socket', () => {}), /not here/)
  }
  assert.deepEqual(
    seen,
    servers.flatMap((server) => [server, server, server])
  )
})

test('servers that are not taken listen for real, and so do those of this project', async (t) => {
  const taken: NetServer[] = []
  interceptListen((server) => {
    if (server.maxConnections !== 1) return false
    taken.push(server)
    pretendToListen(server as ReturnType<typeof createServer>, ADDRESS, false)
    return true
  })
  const real = createServer((_request, response) => response.end())
  await once(real.listen(0, '127.0.0.1'), 'listening')
  t.after(() => real.close())
  assert.notEqual((real.address() as AddressInfo).port, ADDRESS.port)

  const pretending = createServer()
  pretending.maxConnections = 1
  await once(pretending.listen(0), 'listening')
  assert.deepEqual([taken, pretending.address()], [[pretending], ADDRESS])

  const own = createServer()
  own.maxConnections = 1
  listenForReal(own, 0, '127.0.0.1')
  await once(own, 'listening')
  t.after(() => own.close())
  assert.equal(taken.length, 1)
  assert.notEqual((own.address() as AddressInfo).port, ADDRESS.port)
})
