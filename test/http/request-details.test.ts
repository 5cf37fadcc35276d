import assert from 'node:assert/strict'
import { METHODS } from 'node:http'
import { connect } from 'node:net'
import { type TestContext, test } from 'node:test'
import type { FastifyPluginAsync } from 'fastify'
import { startApp } from '../helpers/app.ts'
import { head } from '../helpers/http.ts'
import { until } from '../helpers/until.ts'

/** One TCP connection, byte by byte. */
function open(t: TestContext, port: number) {
  const socket = connect(port, '127.0.0.1')
  t.after(() => socket.destroy())
  const client = { socket, text: '', ended: false, statuses: () => statusesOf(client.text) }
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    client.text += chunk
  })
  socket.on('close', () => {
    client.ended = true
  })
  return client
}

const statusesOf = (text: string) => [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status))

/** Sends these bytes. @returns everything that the server sends until it closes, as it does after a refusal */
async function refusalOf(t: TestContext, port: number, bytes: string): Promise<{ text: string; statuses: number[] }> {
  const client = open(t, port)
  client.socket.write(bytes, 'latin1')
  await until(() => client.ended, `the end of ${JSON.stringify(bytes.slice(0, 80))}, not ${client.text}`)
  return { text: client.text, statuses: client.statuses() }
}

const routes: FastifyPluginAsync = async (app) => {
  const config = { session: false } as const
  app.post('/echo', { config }, async ({ body }) => body)
  app.post('/guarded', { config, onRequest: async (_request, reply) => reply.code(401).send({}) }, async () => ({}))
  app.register(async (scope) => {
    scope.addContentTypeParser('application/octet-stream', (_request, _payload, done) => done(null))
    scope.post('/stream', { config }, async ({ raw }) => {
      let bytes = 0
      for await (const chunk of raw) bytes += (chunk as Buffer).length
      return { bytes }
    })
  })
  app.get('/host', { config }, async ({ host, hostname, headers }) => ({ host, hostname, header: headers.host }))
}
const start = (t: TestContext) => startApp(t, { listen: true, routes })

const expecting = (path: string, length: number, headers: Record<string, string> = {}) =>
  head('POST', path, {
    'content-type': 'application/json',
    'content-length': String(length),
    expect: '100-continue',
    ...headers
  })

test('100 Continue is sent when the body is read, and never before a refusal', async (t) => {
  const { port } = await start(t)
  const refused: Record<string, [status: number, text: string]> = {
    'a body past the limit': [413, expecting('/echo', 70_000)],
    'no such path': [404, expecting('/nowhere', 2)],
    'no such path, and a kind of body that no parser reads': [404, expecting('/nowhere', 2, { 'content-type': 'a/b' })],
    'no such method': [405, expecting('/host', 2)],
    'a kind of body that is not read': [415, expecting('/echo', 2, { 'content-type': 'a/b' })],
    'a page of another site': [403, expecting('/echo', 2, { origin: 'https://evil.example' })],
    'a hook of the route': [401, expecting('/guarded', 2)]
  }
  for (const [what, [status, text]] of Object.entries(refused)) {
    const answer = await refusalOf(t, port, text)
    assert.deepEqual(answer.statuses, [status], what)
    // The client may or may not send the body, so the start of the next request would be uncertain.
    assert.match(answer.text, /^connection: close\r$/im, what)
  }

  const accepted = { '/echo': '{"a":1}', '/stream': 'x'.repeat(7) }
  const types = { '/echo': 'application/json', '/stream': 'application/octet-stream' }
  for (const [path, body] of Object.entries(accepted)) {
    const client = open(t, port)
    for (const round of [1, 2]) {
      client.text = ''
      client.socket.write(expecting(path, body.length, { 'content-type': types[path as keyof typeof types] }))
      await until(() => client.text === 'HTTP/1.1 100 Continue\r\n\r\n', `100 of ${path}`)
      client.socket.write(body)
      await until(() => client.text.endsWith('}'), `the answer of ${path}`)
      assert.deepEqual(client.statuses(), [100, 200], `${path}, request ${round} of the connection`)
      assert.doesNotMatch(client.text, /^connection: close/im)
    }
  }
})

test('any other expectation than 100-continue gets 417 and no 100 Continue', async (t) => {
  const { port } = await start(t)
  for (const expect of ['y 100-continue', '100-continue y', '100-continue, y', 'y=100-continue', 'a miracle', '']) {
    const { statuses } = await refusalOf(t, port, expecting('/echo', 2, { expect }))
    assert.deepEqual(statuses, [417], JSON.stringify(expect))
  }
  const client = open(t, port)
  client.socket.write(expecting('/echo', 2, { expect: '100-Continue, 100-continue' }))
  await until(() => client.text.includes('100 Continue'), '100')
  client.socket.write('{}')
  await until(() => client.text.endsWith('{}'), 'the answer')
  assert.deepEqual(client.statuses(), [100, 200])
})

test('the host of a target in absolute form replaces the Host header', async (t) => {
  const { port } = await start(t)
  const ask = async (method: string, target: string, headers: Record<string, string>) => {
    const { text, statuses } = await refusalOf(t, port, head(method, target, { connection: 'close', ...headers }))
    return { status: statuses[0], body: text.split('\r\n\r\n')[1] ?? '' }
  }
  const hosts: Record<string, string> = {
    'http://a.example/host': 'a.example',
    'HTTP://a.example:8080/host?x=http://b.example': 'a.example:8080',
    'http://me@a.example/host': 'a.example',
    'http://[2001:db8::1]:8080/host': '[2001:db8::1]:8080',
    '/host': 'b.example'
  }
  for (const [target, host] of Object.entries(hosts)) {
    const { body } = await ask('GET', target, { host: 'b.example' })
    const hostname = host.replace(/:8080$/, '')
    assert.deepEqual(JSON.parse(body), { host, hostname, header: host }, target)
  }
  const post = (origin: string) =>
    ask('POST', 'http://a.example/echo', {
      host: 'b.example',
      origin,
      'content-type': 'application/json',
      'content-length': '0'
    })
  assert.equal((await post('http://b.example')).status, 403, 'Host makes no page one of this site')
  assert.notEqual((await post('http://a.example')).status, 403)
  for (const target of [
    'http:///host',
    'http://a:b:c/host',
    'http://a b/host',
    'http://a"b/host',
    'ftp://a.example/host'
  ]) {
    assert.equal((await ask('GET', target, { host: 'b.example' })).status, 400, target)
  }
  assert.equal((await ask('GET', 'http://a.example/host', { host: 'a/b' })).status, 400, 'a Host that is none')
})

test('unknown methods and transfer codings get 501; invalid requests and bare line feeds get 400', async (t) => {
  const { port } = await start(t)
  const coded = (coding: string, body = '') =>
    `POST /echo HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: ${coding}\r\n\r\n${body}`
  const good = head('GET', '/host')
  const cases: [bytes: string, statuses: number[]][] = [
    [head('BREW', '/host'), [501]],
    [head('GETX', '/host'), [501]],
    [head('get', '/host'), [501]],
    [head("!#$%&'*+-.^_`|~", '/host'), [501]],
    [head('PROPFIND', '/host'), [501]],
    // Parsers of older Node versions do not support it.
    [head('QUERY', '/host', { connection: 'close' }), [METHODS.includes('QUERY') ? 405 : 501]],
    [`${good}${head('BREW', '/host')}`, [200, 501]],
    [`${good}${head('get', '/host')}`, [200, 501]],
    ['BREW\r\n\r\n', [400]],
    ['B(EW / HTTP/1.1\r\nhost: a\r\n\r\n', [400]],
    ['nonsense\r\n\r\n', [400]],
    [coded('gzip'), [501]],
    [coded('gzip, chunked', '0\r\n\r\n'), [501]],
    [coded('identity'), [501]],
    [coded('xchunked', '0\r\n\r\n'), [501]],
    [coded('chunked, gzip', '0\r\n\r\n'), [400]],
    [coded('chunked, chunked', '0\r\n\r\n'), [400]],
    [coded(''), [400]],
    ['GET /host HTTP/1.1\nhost: a\r\n\r\n', [400]],
    ['GET /host HTTP/1.1\nhost: a\n\n', [400]],
    ['GET /host HTTP/1.1\r\nhost: a\n\r\n', [400]],
    [`${good}GET /host HTTP/1.1\nhost: a\r\n\r\n`, [200, 400]],
    ['GET /host HTTP/2.0\r\nhost: a\r\n\r\n', [505]],
    ['GET /host HTTP/9.9\nhost: a\r\n\r\n', [505]],
    ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [505]]
  ]
  for (const [bytes, statuses] of cases) {
    const { text, statuses: seen } = await refusalOf(t, port, bytes)
    assert.deepEqual(seen, statuses, `${JSON.stringify(bytes)}: ${text}`)
    const { statusCode, code } = JSON.parse(text.split('\r\n\r\n').at(-1)!) as { statusCode: number; code: string }
    assert.equal(statusCode, statuses.at(-1))
    if (statusCode === 501) assert.equal(code, 'NOT_IMPLEMENTED')
  }
})
