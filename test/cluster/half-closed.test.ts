import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { connect as connectSecurely } from 'node:tls'
import type { DrainStats } from '../../src/ipc/messages.ts'
import { Authority } from '../helpers/certificates.ts'
import { Connection, head } from '../helpers/http.ts'
import { fixture } from '../helpers/load.ts'
import { startRedis } from '../helpers/redis.ts'
import { type Service, startService } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'
import '../helpers/takes-long.ts'

/** Everything that the server sends until it closes its side. */
async function readAll(socket: Socket): Promise<string> {
  let text = ''
  for await (const chunk of socket.setEncoding('utf8')) text += chunk
  return text
}

/** Sends it and closes the client's side, as `nc -N` does. */
function askOnce(port: number, text: string): Promise<string> {
  return readAll(connect({ port, host: '127.0.0.1', allowHalfOpen: true }).end(text))
}

/** Connections that the service holds, those whose client has closed its side included, as the kernel sees them. */
function held(port: number): number {
  const lines = readFileSync('/proc/net/tcp', 'latin1').matchAll(/^ *\d+: \w+:(\w+) \w+:\w+ (01|08) /gm)
  return [...lines].filter(([, local]) => Number.parseInt(local!, 16) === port).length
}

const bodies = (text: string) => [...text.matchAll(/^\{.*?\}/gm)].map(([body]) => JSON.parse(body))

async function start(t: TestContext, env: Record<string, string> = {}): Promise<Service> {
  const { url } = await startRedis(t)
  return startService(t, { env: { REDIS_URL: url, APP: fixture('slow'), CANARY_TIME: '0', ...env }, workers: 1 })
}

test('a half-closed client gets every response, the last one with connection: close', async (t) => {
  const service = await start(t)
  assert.deepEqual(bodies(await askOnce(service.port, head('GET', '/echo?id=0'))), [{ id: '0' }])
  const one = await askOnce(service.port, head('GET', '/slow?ms=300&id=1'))
  assert.match(one, /^HTTP\/1\.1 200 OK\r\n/)
  assert.match(one, /\r\nconnection: close\r\n/i)
  assert.deepEqual(bodies(one), [{ id: '1' }])
  const several = ['/slow?ms=300&id=1', '/echo?id=2', '/echo?id=3'].map((path) => head('GET', path)).join('')
  assert.deepEqual(bodies(await askOnce(service.port, several)), [{ id: '1' }, { id: '2' }, { id: '3' }])
  assert.deepEqual(bodies(await askOnce(service.port, 'GET /slow?ms=2500&id=4 HTTP/1.0\r\nhost: test\r\n\r\n')), [
    { id: '4' }
  ])
  // Half a request is none: there is nothing to wait for.
  assert.match(await askOnce(service.port, 'GET /echo?id=5 HTTP/1.1\r\nhost: te'), /^HTTP\/1\.1 400 /)
  assert.equal(await askOnce(service.port, ''), '')
})

test('a half-closed client gets its response over TLS too', async (t) => {
  const authority = new Authority(t)
  const { cert, key } = authority.sign('service')
  const service = await start(t, { TLS_CERT: cert, TLS_KEY: key })
  const ca = readFileSync(authority.file, 'utf8')
  const below = connect({ port: service.port, host: '127.0.0.1', allowHalfOpen: true })
  const socket = connectSecurely({ socket: below, host: '127.0.0.1', ca })
  socket.end(head('GET', '/slow?ms=300&id=1'))
  assert.deepEqual(bodies(await readAll(socket)), [{ id: '1' }])
})

test('half-closed clients get their responses during a reload, on transferred connections too', async (t) => {
  const service = await start(t)
  const idle = await Promise.all(
    Array.from({ length: 20 }, async (_, id) => {
      const connection = await Connection.open(service.port)
      await connection.request('GET', `/echo?id=${id}`)
      return connection
    })
  )
  const inFlight = Array.from({ length: 20 }, (_, id) => askOnce(service.port, head('GET', `/slow?ms=2500&id=${id}`)))
  const asker = await Connection.open(service.port)
  while (JSON.parse((await asker.request('GET', '/in-flight')).body).requests < 20);
  asker.close()
  const outcome = await service.reload()
  const { cut, handedOver } = outcome.connections as DrainStats
  assert.equal(cut, 0)
  assert.ok(handedOver >= 20, `${handedOver} transferred`)
  for (const [id, text] of (await Promise.all(inFlight)).entries()) assert.deepEqual(bodies(text), [{ id: String(id) }])
  const answers = idle.map((connection, id) => {
    const answer = connection.request('GET', `/slow?ms=300&id=${id}`)
    connection.socket.end()
    return answer
  })
  for (const [id, { body }] of (await Promise.all(answers)).entries())
    assert.deepEqual(JSON.parse(body), { id: String(id) })
  await until(() => held(service.port) === 0, 'no connection')
})

test('a disconnected client is noticed while its request is served', async (t) => {
  const service = await start(t)
  const open = () => Connection.open(service.port)
  const transferred = await Promise.all(Array.from({ length: 4 }, open))
  await Promise.all(transferred.map((connection, id) => connection.request('GET', `/echo?id=${id}`)))
  await service.reload()
  const slow = head('GET', '/slow?ms=3600000&id=1')
  const asked = [
    ...transferred.map((connection) => ({ connection, text: slow })),
    { connection: await open(), text: slow },
    { connection: await open(), text: slow + slow },
    { connection: await open(), text: head('GET', '/events') },
    { connection: await open(), text: `${head('POST', '/echo', { 'content-length': '100' })}half` }
  ]
  for (const { connection, text } of asked) connection.socket.write(text)
  const asker = await open()
  while (JSON.parse((await asker.request('GET', '/in-flight')).body).requests < 7);
  await until(() => held(service.port) === asked.length + 1, 'all connections, and the one that asks')
  for (const { connection } of asked) connection.close()
  await until(() => held(service.port) === 1, 'only the connection that asks')
  const inFlight = async () => {
    const { body } = await asker.request('GET', '/metrics')
    return Number(/^http_requests_in_flight\{worker="0"\} (\d+)$/m.exec(body)?.[1])
  }
  await until(async () => (await inFlight()) === 1, 'no request in flight')
  asker.close()
})

test('a reset by a half-closed client is noticed while the response pauses', async (t) => {
  const service = await start(t, { APP: fixture('pause') })
  const socket = connect({ port: service.port, host: '127.0.0.1', allowHalfOpen: true })
  socket.write(head('GET', '/pause'))
  const [first] = (await once(socket, 'data')) as [Buffer]
  assert.match(String(first), /^HTTP\/1\.1 200 OK\r\n/)
  await new Promise<void>((resolve) => socket.end(resolve))
  socket.resetAndDestroy()
  await until(() => held(service.port) === 0, 'no connection')
  const asker = await Connection.open(service.port)
  await until(async () => (await asker.request('GET', '/closed')).body === '{"closed":1}', 'the end of the response')
  asker.close()
})

test('a half-closed client that waits long gets 100 Continue, which it may ignore', async (t) => {
  const service = await start(t)
  const text = await askOnce(service.port, head('GET', '/slow?ms=2500&id=1'))
  assert.match(text, /^(HTTP\/1\.1 100 Continue\r\n\r\n)+HTTP\/1\.1 200 OK\r\n/)
  assert.deepEqual(bodies(text), [{ id: '1' }])
})
