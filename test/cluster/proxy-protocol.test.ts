import assert from 'node:assert/strict'
import { once as event } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { test } from 'node:test'
import { connect as connectSecurely } from 'node:tls'
import { Authority } from '../helpers/certificates.ts'
import { Connection, freePort, once } from '../helpers/http.ts'
import { fixture } from '../helpers/load.ts'
import { proxyV1, proxyV2 } from '../helpers/proxy-protocol.ts'
import { startRedis } from '../helpers/redis.ts'
import { startService } from '../helpers/service.ts'
import '../helpers/uncounted.ts'
import '../helpers/takes-long.ts'

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
const hasReusePort = major > 22 || (major === 22 && minor >= 12)
const PROXY = '127.0.0.9'

interface Who {
  slot: number
  generation: number
  ip: string
}

/** A connection of the trusted proxy, with these bytes first; in parts, each on its way before the next is sent. */
async function proxied(port: number, ...parts: Buffer[]): Promise<Connection> {
  const connection = await Connection.open(port, PROXY)
  for (const part of parts) await new Promise((resolve) => connection.socket.write(part, resolve))
  return connection
}
const whoAt = async (connection: Connection): Promise<Who> => {
  const { status, body } = await connection.request('GET', '/who/1')
  assert.equal(status, 200, body)
  return JSON.parse(body) as Who
}

for (const SCHEDULING of ['rr', 'shared', 'sticky', 'reuseport']) {
  const skip = SCHEDULING === 'reuseport' && !hasReusePort
  test(`${SCHEDULING}: request.ip is the client in the PROXY header of a trusted proxy, also after a reload`, {
    skip
  }, async (t) => {
    const { url } = await startRedis(t)
    const port = SCHEDULING === 'reuseport' ? { PORT: String(await freePort()), REUSEPORT_LOSS: 'allow' } : {}
    const env = { REDIS_URL: url, APP: fixture('who'), SCHEDULING, PROXY_PROTOCOL: PROXY, KEEP_ALIVE_TIMEOUT: '60000' }
    const patient = { HEADERS_TIMEOUT: '60000', REQUEST_TIMEOUT: '60000' }
    const service = await startService(t, { env: { ...env, ...patient, ...port } })
    const v2 = proxyV2('2001:db8::7', 4711, Buffer.alloc(30))
    const kept: [Connection, string][] = [
      [await proxied(service.port, proxyV1('192.0.2.7', 4711)), '192.0.2.7'],
      [await proxied(service.port, v2.subarray(0, 7), v2.subarray(7)), '2001:db8::7'],
      [await proxied(service.port, proxyV2(undefined)), PROXY]
    ]
    const unused = await proxied(service.port, proxyV1('192.0.2.8', 4711))
    t.after(() => {
      for (const [connection] of [...kept, [unused] as const]) connection.close()
    })
    for (const [connection, ip] of kept) assert.equal((await whoAt(connection)).ip, ip)
    assert.equal((await service.reload()).msg, 'rollout done')
    for (const [connection, ip] of [...kept, [unused, '192.0.2.8'] as const]) {
      const who = await whoAt(connection)
      assert.deepEqual([who.ip, who.generation], [ip, 2])
      assert.equal(connection.ended, false)
    }

    const other = await Connection.open(service.port, '127.0.0.2')
    other.socket.write(proxyV1('192.0.2.7', 4711))
    assert.equal((await other.expect()).status, 400, 'from any other address the header is no HTTP')
    assert.equal((JSON.parse((await once(service.port, 'GET', '/who/1', {}, '127.0.0.2')).body) as Who).ip, '127.0.0.2')

    await assert.rejects(once(service.port, 'GET', '/who/1', {}, PROXY), 'a trusted proxy must send the header')
    const line = await service.line(({ msg }) => msg === 'connection without a valid PROXY header closed')
    assert.equal(line.from, PROXY)
    const page = (await once(service.port, 'GET', '/metrics', {}, '127.0.0.2')).body
    assert.match(page, /^http_connections_refused_total\{.*reason="proxy-header".*\} 1$/m)
  })
}

test('with sticky, the client in the PROXY header decides, and X-Forwarded-For if that client is a trusted proxy', async (t) => {
  const { url } = await startRedis(t)
  const env = {
    REDIS_URL: url,
    APP: fixture('who'),
    SCHEDULING: 'sticky',
    PROXY_PROTOCOL: PROXY,
    TRUST_PROXY: '192.0.2.200'
  }
  const service = await startService(t, { env, workers: 3 })
  const clients = Array.from({ length: 30 }, (_, i) => `198.51.100.${i + 1}`)
  const slotOf = async (header: Buffer, forwarded?: string) => {
    const connection = await proxied(service.port, header)
    const headers = forwarded === undefined ? undefined : { 'x-forwarded-for': forwarded }
    const { body } = await connection.request('GET', '/who/1', headers)
    connection.close()
    const { ip, slot } = JSON.parse(body) as Who
    return { ip, slot }
  }
  const named = await Promise.all(clients.map((client) => slotOf(proxyV2(client, 1))))
  const forwarded = await Promise.all(clients.map((client) => slotOf(proxyV1('192.0.2.200', 1), client)))
  assert.deepEqual(
    named.map(({ ip }) => ip),
    clients
  )
  assert.deepEqual(forwarded, named, 'a client is at its slot, whichever way it is named')
  assert.equal(new Set(named.map(({ slot }) => slot)).size, 3)
})

test('with TLS_CERT the PROXY header comes before the handshake', async (t) => {
  const authority = new Authority(t)
  const files = authority.sign('service')
  const ca = readFileSync(authority.file, 'utf8')
  const { url } = await startRedis(t)
  const env = { REDIS_URL: url, APP: fixture('who'), PROXY_PROTOCOL: PROXY, TLS_CERT: files.cert, TLS_KEY: files.key }
  const service = await startService(t, { env })
  const raw = connect({ port: service.port, host: '127.0.0.1', localAddress: PROXY })
  await event(raw, 'connect')
  raw.write(proxyV2('192.0.2.7', 4711))
  const secure = connectSecurely({ socket: raw, ca, host: '127.0.0.1' })
  await event(secure, 'secureConnect')
  secure.write('GET /who/1 HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n')
  let text = ''
  for await (const chunk of secure.setEncoding('utf8')) text += chunk
  assert.match(text, /"ip":"192\.0\.2\.7"/)
})

test('MAX_CONNECTIONS_PER_CLIENT counts the clients that PROXY headers name', async (t) => {
  const { url } = await startRedis(t)
  const env = { REDIS_URL: url, APP: fixture('who'), PROXY_PROTOCOL: PROXY, MAX_CONNECTIONS_PER_CLIENT: '1' }
  const service = await startService(t, { env, workers: 1 })
  const first = await proxied(service.port, proxyV1('192.0.2.7', 1))
  assert.equal((await whoAt(first)).ip, '192.0.2.7')
  const second = await proxied(service.port, proxyV1('192.0.2.7', 2))
  assert.equal((await second.expect()).status, 429)
  const other = await proxied(service.port, proxyV1('192.0.2.8', 1))
  assert.equal((await whoAt(other)).ip, '192.0.2.8')
  for (const connection of [first, second, other]) connection.close()
})
