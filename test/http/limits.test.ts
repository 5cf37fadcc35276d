import assert from 'node:assert/strict'
import { once as event } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyPluginAsync } from 'fastify'
import { SECURITY_HEADERS } from '../../src/http/plugins/security/security-headers.ts'
import { handleOf } from '../../src/node-internals/tcp-handle.ts'
import { cutSlowClients } from '../../src/worker/connections/slow-clients.ts'
import { startApp } from '../helpers/app.ts'
import { Connection, head, NoAnswer, once } from '../helpers/http.ts'
import { timed } from '../helpers/timed.ts'
import { until } from '../helpers/until.ts'

/** Sends these bytes at once. @returns everything that the server sends until it closes */
function exchange(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = ''
    const socket = connect(port, '127.0.0.1', () => socket.write(text))
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      answer += chunk
    })
    socket.on('close', () => resolve(answer)).on('error', reject)
  })
}

test('requests that are too large, too slow or unsupported get their own status in the JSON shape, and the connection closes', async (t) => {
  const { port } = await startApp(t, { listen: true, env: { HEADERS_TIMEOUT: '500', REQUEST_TIMEOUT: '500' } })
  const fields = Array.from({ length: 101 }, (_, i) => `x${i}: 1\r\n`).join('')
  const post = 'POST /hits HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'
  const refused: Record<string, [status: number, text: string, header?: RegExp]> = {
    'nothing at all': [408, ''],
    'half a head': [408, 'GET / HTTP/1.1\r\nHost: x\r\nX-Half'],
    'half a body': [408, `${post}Content-Length: 10\r\n\r\n{"a"`],
    'half a chunk': [408, `${post}Transfer-Encoding: chunked\r\n\r\n5\r\n{"a`],
    'a body past 64 KiB': [413, `${post}Content-Length: 65537\r\n\r\n`],
    'chunks past 64 KiB': [413, `${post}Transfer-Encoding: chunked\r\n\r\n10001\r\n${'x'.repeat(0x10001)}\r\n`],
    'a target past 8 KiB': [414, head('GET', `/${'x'.repeat(8192)}`)],
    'a target past the whole head': [414, head('GET', `/${'x'.repeat(20_000)}`)],
    'a head past 16 KiB': [431, head('GET', '/', { long: 'x'.repeat(17_000) })],
    'more than 100 fields': [431, `GET / HTTP/1.1\r\nHost: x\r\n${fields}\r\n`],
    'a method of others': [501, head('PROPFIND', '/')],
    TRACE: [405, head('TRACE', '/'), /^allow: GET, HEAD/im],
    CONNECT: [405, head('CONNECT', 'example.com:443'), /^allow: GET, HEAD/im],
    'an expectation': [417, head('GET', '/livez', { expect: 'a miracle' })],
    'a bare line feed in the head': [400, 'GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n'],
    'an empty Host': [400, head('GET', '/', { host: '' })],
    'a Host with a path': [400, head('GET', '/', { host: 'a/b' })],
    'a Host with a name before it': [400, head('GET', '/', { host: 'me@a' })]
  }
  await Promise.all(
    Object.entries(refused).map(async ([what, [status, text, header]]) => {
      const answer = await exchange(port, text)
      const [start = '', body = ''] = answer.split('\r\n\r\n')
      assert.match(start, new RegExp(`^HTTP/1.1 ${status} `), `${what}: ${answer}`)
      assert.match(start, /^connection: close\r?$/im, what)
      if (header) assert.match(start, header, what)
      assert.equal(JSON.parse(body).statusCode, status, what)
      for (const name of Object.keys(SECURITY_HEADERS)) assert.match(start, new RegExp(`^${name}: `, 'im'), what)
    })
  )
})

test('a client that resets its connection during a refusal affects no other client', async (t) => {
  const { port, connections } = await startApp(t, { listen: true, env: { MAX_CONNECTIONS: '30' } })
  for (const text of [
    head('CONNECT', 'example.com:443'),
    head('TRACE', '/'),
    'nonsense\r\n\r\n',
    head('GET', '/livez')
  ]) {
    for (const delay of [0, 5, 20]) {
      const socket = connect(port, '127.0.0.1', () => socket.write(text))
      socket.on('error', () => {})
      await Promise.race([sleep(delay), new Promise((resolve) => socket.once('readable', resolve))])
      socket.resetAndDestroy()
    }
  }
  await until(() => connections!.registry.all.size === 0, 'the end of all')
  assert.equal((await once(port, 'GET', '/livez')).status, 200)
})

test('HEAD is GET without a body; OPTIONS lists the methods; a target in absolute form is routed by its path', async (t) => {
  const { app, port } = await startApp(t, { listen: true })
  const lasting = ({ date: _, 'x-request-id': __, ...rest }: Record<string, unknown>) => rest
  for (const url of ['/livez', '/hits', '/session', '/digest/a']) {
    const [get, headed] = [await app.inject({ url }), await app.inject({ method: 'HEAD', url })]
    assert.deepEqual([headed.statusCode, headed.body], [get.statusCode, ''])
    assert.deepEqual(lasting(headed.headers), lasting(get.headers), url)
  }
  const everything = await once(port, 'OPTIONS', '*')
  assert.deepEqual([everything.status, everything.headers.allow], [204, 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS'])
  const hits = await once(port, 'OPTIONS', '/hits')
  assert.deepEqual([hits.status, hits.headers.allow?.split(', ').sort()], [204, ['GET', 'HEAD', 'OPTIONS', 'POST']])
  assert.equal((await once(port, 'GET', 'http://anything.example/livez')).status, 200)
  assert.equal((await once(port, 'GET', 'ftp://anything.example/livez')).status, 400)
})

test('garbage after valid requests does not affect their answers', async (t) => {
  const routes: FastifyPluginAsync = async (app) => {
    app.get('/slow', async () => sleep(100, 'slow'))
  }
  const { port } = await startApp(t, { listen: true, routes })
  const answer = await exchange(port, `${head('GET', '/slow')}${head('GET', '/livez')}nonsense\r\n\r\n`)
  assert.deepEqual(
    [...answer.matchAll(/HTTP\/1\.1 (\d+)/g)].map((match) => match[1]),
    ['200', '200', '400']
  )
})

test('a connection beyond MAX_CONNECTIONS is refused with an answer and does not affect the others', async (t) => {
  const { port, connections } = await startApp(t, { listen: true, env: { MAX_CONNECTIONS: '3' } })
  const held = await Promise.all([1, 2, 3].map(() => Connection.open(port)))
  for (const connection of held) assert.equal((await connection.request('GET', '/livez')).status, 200)
  const text = await exchange(port, head('GET', '/livez'))
  assert.match(text, /^HTTP\/1\.1 503 .*retry-after: 1\r\n.*TOO_MANY_CONNECTIONS/s)
  assert.equal(text.match(/HTTP\//g)?.length, 1)
  for (const connection of held) assert.equal((await connection.request('GET', '/livez')).status, 200)
  held[0]!.close()
  await until(() => connections!.registry.all.size < 3, 'a free place')
  assert.equal((await once(port, 'GET', '/livez')).status, 200)
})

test('a connection beyond MAX_CONNECTIONS_PER_CLIENT is refused with an answer; other addresses and proxies are not limited', async (t) => {
  const env = { MAX_CONNECTIONS_PER_CLIENT: '2', TRUST_PROXY: '127.0.0.9' }
  const { app, port, connections } = await startApp(t, { listen: true, env })
  const statusOf = async (connection: Connection) => (await connection.request('GET', '/livez')).status
  const held = await Promise.all([1, 2].map(() => Connection.open(port, '127.0.0.2')))
  for (const connection of held) assert.equal(await statusOf(connection), 200)
  const refused = await once(port, 'GET', '/livez', {}, '127.0.0.2')
  assert.equal(refused.status, 429)
  assert.equal(refused.headers['retry-after'], '1')
  assert.equal(JSON.parse(refused.body).code, 'TOO_MANY_CONNECTIONS')
  assert.equal((await once(port, 'GET', '/livez', {}, '127.0.0.3')).status, 200)
  for (let i = 0; i < 4; i++) assert.equal(await statusOf(await Connection.open(port, '127.0.0.9')), 200)
  assert.match(await app.metrics.metrics(), /^http_connections_refused_total\{reason="client"\} 1$/m)
  for (const connection of held) assert.equal(await statusOf(connection), 200)

  held[0]!.close()
  await until(() => connections!.registry.all.size === 5, 'a free place')
  assert.equal((await once(port, 'GET', '/livez', {}, '127.0.0.2')).status, 200)
})

test('a connection closes cleanly after MAX_REQUESTS_PER_CONNECTION: a burst is answered completely', async (t) => {
  const { port } = await startApp(t, { listen: true, env: { MAX_REQUESTS_PER_CONNECTION: '3' } })
  const connection = await Connection.open(port)
  for (const last of [false, false, true]) {
    const { headers } = await connection.request('GET', '/livez')
    assert.equal(headers.connection === 'close', last)
  }
  await assert.rejects(connection.request('GET', '/livez'), NoAnswer)

  const burst = await exchange(port, head('GET', '/livez').repeat(7))
  assert.equal(burst.match(/HTTP\/1\.1 200/g)?.length, 7)
  assert.equal(burst.match(/^connection: close/gim)?.length, 1)
})

timed('who takes nothing of an answer is cut after SEND_TIMEOUT, who takes it slowly is not', async (t) => {
  const { port, connections, config } = await startApp(t, {
    listen: true,
    env: { SEND_TIMEOUT: '700' },
    routes: async (app) => {
      app.get('/much', async () => Buffer.alloc(32 << 20))
    }
  })
  const sweep = cutSlowClients(connections!.registry.all, config.http, () => {})
  t.after(() => clearInterval(sweep))
  const started = performance.now()
  const stuck = connect(port, '127.0.0.1', () => stuck.write(head('GET', '/much')))
  stuck.pause()
  let taken = 0
  const slow = connect(port, '127.0.0.1', () => slow.write(head('GET', '/much')))
  t.after(() => [stuck, slow].map((socket) => socket.destroy()))
  slow.on('data', (chunk) => {
    taken += chunk.length
    slow.pause()
    if (taken < 32 << 20) setTimeout(() => slow.resume(), 4)
  })
  await until(() => connections!.registry.all.size === 2, 'both')
  await until(() => connections!.registry.all.size === 1, 'the cut')
  assert.ok(performance.now() - started < 700 + 2000 + 500, 'in time')
  await until(() => taken > 32 << 20, 'all of the answer')
})

timed('who takes less of an answer than SEND_MIN_RATE is cut, though it never stops', async (t) => {
  const { port, connections, config } = await startApp(t, {
    listen: true,
    env: { SEND_TIMEOUT: '1000', SEND_MIN_RATE: String(4 << 20) },
    routes: async (app) => {
      app.get('/much', async () => Buffer.alloc(64 << 20))
    }
  })
  const sweep = cutSlowClients(connections!.registry.all, config.http, () => {})
  t.after(() => clearInterval(sweep))
  let taken = 0
  // About 640 KiB per second.
  const slow = connect(port, '127.0.0.1', () => slow.write(head('GET', '/much')))
  t.after(() => slow.destroy())
  slow.on('error', () => {})
  slow.on('data', (chunk) => {
    taken += chunk.length
    slow.pause()
    setTimeout(() => slow.resume(), 100)
  })
  await until(() => connections!.registry.all.size === 1, 'the connection')
  await until(() => connections!.registry.all.size === 0, 'the cut')
  assert.ok(taken < 64 << 20, 'before the end of the answer')
})

timed('line feeds between two requests do not keep a connection', async (t) => {
  const env = { KEEP_ALIVE_TIMEOUT: '300', HEADERS_TIMEOUT: '300' }
  const { port, connections, config } = await startApp(t, { listen: true, env })
  const sweep = cutSlowClients(connections!.registry.all, config.http, () => {})
  t.after(() => clearInterval(sweep))
  const started = performance.now()
  const idler = await Connection.open(port)
  assert.equal((await idler.request('GET', '/livez')).status, 200)
  const again = setInterval(() => idler.socket.write('\r\n'), 100)
  t.after(() => clearInterval(again))
  await until(() => connections!.registry.all.size === 0, 'the cut')
  assert.ok(performance.now() - started < 2600 + 2000, 'in time')
})

timed('while the event loop cannot keep up, requests are refused and probes are not', async (t) => {
  const { app } = await startApp(t, { env: { MAX_LOOP_DELAY: '150' } })
  const block = async () => {
    for (const end = performance.now() + 400; performance.now() < end; );
    await sleep(1)
  }
  await block()
  await sleep(150)
  assert.equal((await app.inject('/hits')).statusCode, 200, 'one hiccup')
  for (let i = 0; i < 3; i++) await block()
  const refused = await app.inject('/hits')
  assert.deepEqual([refused.statusCode, refused.json().code, refused.headers['retry-after']], [503, 'OVERLOADED', '1'])
  for (const url of ['/livez', '/readyz', '/metrics']) assert.equal((await app.inject(url)).statusCode, 200, url)
  await until(async () => (await app.inject('/hits')).statusCode === 200, 'the end of it')
})

test('a request on a connection that was already reset reaches no hook and is not an error', async (t) => {
  const lines: string[] = []
  const { app, port, connections, redis } = await startApp(t, { listen: true, onLog: (line) => lines.push(line) })
  // The test accepts the connection like the primary, and passes it to the worker's server after the client has left.
  const acceptor = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1')
  t.after(() => acceptor.close())
  await event(acceptor, 'listening')
  const client = connect((acceptor.address() as AddressInfo).port, '127.0.0.1')
  const [accepted] = (await event(acceptor, 'connection')) as [Socket]
  await new Promise((resolve) => client.write(head('POST', '/hits'), resolve))
  client.resetAndDestroy()
  await event(client, 'close')
  const { requests } = connections!.count()
  lines.length = 0
  connections!.acceptor.accept(handleOf(accepted)!)
  await until(() => connections!.registry.all.size === 0, 'the end of the connection')
  assert.equal(connections!.count().requests, requests, 'it is no request')
  assert.equal(app.completion.inFlight(), 0)
  assert.equal(await redis.get('muster:hits'), null, 'it is not counted')
  assert.deepEqual(lines, [], 'nothing in the log')
  assert.equal((await once(port, 'GET', '/livez')).status, 200)
})
