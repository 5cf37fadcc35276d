import assert from 'node:assert/strict'
import { Agent, type IncomingMessage, request } from 'node:http'
import { test } from 'node:test'
import fc from 'fast-check'
import { startApp, Visitor } from '../helpers/app.ts'
import { counted } from '../helpers/counted.ts'
import { anyJson, fuzz } from '../helpers/fuzz.ts'

const TOKEN = 'c'.repeat(40)
/** Longer than any answer takes. */
const HANG_MS = 3000

const latin1 = (first: number, last: number) =>
  fc.string({ unit: fc.integer({ min: first, max: last }).map((code) => String.fromCharCode(code)), maxLength: 60 })
const PATHS = [
  ...[
    '/',
    '/hits',
    '/session',
    '/digest/',
    '/events',
    '/livez',
    '/readyz',
    '/healthz',
    '/metrics',
    '/docs/json',
    '/docs'
  ],
  ...['/admin/status', '/admin/events', '/admin/files/', '/admin/commands/', '/admin/commands/settings-set', '/assets/']
]
const path = fc.tuple(fc.constantFrom(...PATHS), fc.oneof(fc.constant(''), fc.constant('?'), latin1(0x21, 0xff)))
const method = fc.constantFrom('GET', 'POST', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND')
const NAMES = [
  ...[
    'accept',
    'accept-encoding',
    'accept-language',
    'authorization',
    'content-type',
    'cookie',
    'if-none-match',
    'origin'
  ],
  ...[
    'range',
    'referer',
    'sec-fetch-site',
    'traceparent',
    'user-agent',
    'x-forwarded-for',
    'x-forwarded-proto',
    'x-request-id'
  ]
]
const VALUES = [
  ...[
    'text/html',
    'application/json',
    'application/x-www-form-urlencoded',
    'gzip;q=',
    '*/*;q=0',
    'same-origin',
    'null'
  ],
  ...[`Bearer ${TOKEN}`, 'Bearer ', 'sid=', '__Host-sid=', 'sid=%', 'sid=a.b; sid=c', 'bytes=0-', 'https', '::1']
]
const value = fc.oneof(fc.constantFrom(...VALUES), latin1(0x20, 0xff)).map((text) => text.replaceAll('\x7f', ''))
const headers = fc.dictionary(fc.constantFrom(...NAMES), value, { maxKeys: 5, noNullPrototype: true })
const deep = fc.integer({ min: 1, max: 16_000 }).map((depth) => `{"value":${'['.repeat(depth)}${']'.repeat(depth)}}`)
const json = fc
  .oneof(
    anyJson,
    anyJson.map((name) => ({ name }))
  )
  .map((said) => JSON.stringify(said))
const body = fc.oneof(fc.constant(''), fc.string(), json, deep)
const ask = fc.record({ method, path: path.map(([known, rest]) => known + rest), headers, body })

test('any request is answered in time, and never with 500', async (t) => {
  const wrong: string[] = []
  const { app, port } = await startApp(t, {
    listen: true,
    env: { ADMIN_TOKEN: TOKEN, METRICS_TOKEN: 'm'.repeat(40) },
    onLog: (line) => (JSON.parse(line) as { level: number }).level >= 50 && wrong.push(line)
  })
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  t.after(() => agent.destroy())
  const send = ({ method, path, headers, body }: { method: string; path: string; headers: object; body: string }) =>
    new Promise<IncomingMessage & { text: string }>((resolve, reject) => {
      const length = { 'content-length': Buffer.byteLength(body), 'content-type': 'application/json' }
      const all = { ...(body !== '' && length), ...headers }
      const asked = request({ port, host: '127.0.0.1', agent, method, path, headers: all, timeout: HANG_MS })
      asked.on('timeout', () => asked.destroy(new Error(`no answer in ${HANG_MS} ms`)))
      asked.on('error', (error: NodeJS.ErrnoException) => {
        // The parser refuses before it knows the method: a HEAD gets the body too, at the end of its connection.
        if (method === 'HEAD' && error.code === 'HPE_CLOSED_CONNECTION')
          resolve(Object.assign(Object.create(null), { statusCode: 400, text: '' }))
        else reject(error)
      })
      asked.on('response', (response) => {
        // A stream does not end by itself.
        if (/event-stream/.test(response.headers['content-type'] ?? '')) response.destroy()
        let text = ''
        response.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
        response.on('error', () => {})
        response.on('close', () => resolve(Object.assign(response, { text })))
      })
      asked.end(body)
    })

  const statuses = new Map<number, number>()
  const runs = await fuzz(0.35, ask, async (asked) => {
    const { statusCode = 0, text } = await send(asked)
    statuses.set(statusCode, (statuses.get(statusCode) ?? 0) + 1)
    // This app has no primary: accepted commands get 503.
    const away = /"code":"PRIMARY_AWAY"/.test(text)
    const expected = asked.method === 'PROPFIND' ? statusCode === 501 : statusCode === 503 && away
    assert.ok((statusCode >= 200 && statusCode < 500) || expected, `${statusCode} ${text}`)
  })
  t.diagnostic(JSON.stringify(Object.fromEntries([...statuses].sort())))
  counted(t, { 'fuzzed inputs': runs })

  const ada = new Visitor(app)
  await ada.post('/session', { name: 'ada' })
  const cookie = ada.cookie!
  const change = fc.tuple(
    fc.nat(cookie.length),
    fc.nat(3),
    latin1(0x21, 0x7e).filter((text) => !/[;,]/.test(text))
  )
  await fuzz(0.15, change, async ([at, cut, insert]) => {
    const other = cookie.slice(0, at) + insert + cookie.slice(at + cut)
    const headers = { cookie: `sid=${other}` }
    const { statusCode, text } = await send({ method: 'GET', path: '/session', headers, body: '' })
    assert.equal(statusCode, 200)
    // "%2f" equals "%2F": the signature covers the decoded characters.
    if (decoded(other) !== decoded(cookie)) assert.equal((JSON.parse(text) as { name: unknown }).name, null, other)
  })
  const [tooDeep] = fc.sample(
    deep.filter((text) => text.length > 1000),
    1
  )
  const refused = await send({ method: 'POST', path: '/session', headers: {}, body: tooDeep! })
  assert.deepEqual([refused.statusCode, (JSON.parse(refused.text) as { code: string }).code], [400, 'TOO_DEEP'])
  assert.deepEqual(wrong, [])
  assert.equal((await ada.get('/session')).json().name, 'ada')
})

function decoded(cookie: string): string {
  try {
    return decodeURIComponent(cookie)
  } catch {
    return cookie
  }
}
