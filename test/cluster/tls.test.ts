import assert from 'node:assert/strict'
import { type EventEmitter, once as event } from 'node:events'
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { connect as connectPlainly } from 'node:net'
import { type TestContext, test } from 'node:test'
import { type ConnectionOptions, connect } from 'node:tls'
import type { DrainStats } from '../../src/ipc/messages.ts'
import { Authority } from '../helpers/certificates.ts'
import { Connection, freePort, NoAnswer } from '../helpers/http.ts'
import { Http2Client } from '../helpers/http2.ts'
import { fixture, Load } from '../helpers/load.ts'
import { startRedis } from '../helpers/redis.ts'
import { EXAMPLE, muster, PATIENCE_MS, type Service, type StartOptions, startService } from '../helpers/service.ts'
import '../helpers/takes-long.ts'
import '../helpers/uncounted.ts'

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
const hasReusePort = major > 22 || (major === 22 && minor >= 12)
/** Not pipelines: a part of one may be told to come again. */
const MIX = { fresh: 1, slow: 2, idle: 5, multiplexed: 2 }

/** A service with a certificate of a test's own authority, in files that can be renewed. */
async function startSecurely(t: TestContext, options: StartOptions = {}) {
  const authority = new Authority(t)
  const files = authority.sign('service')
  const { url } = await startRedis(t)
  const env = { REDIS_URL: url, APP: fixture('slow'), KEEP_ALIVE_TIMEOUT: '4000', CANARY_TIME: '0', ...options.env }
  const service = await startService(t, { ...options, env: { ...env, TLS_CERT: files.cert, TLS_KEY: files.key } })
  return { service, authority, files, ca: readFileSync(authority.file, 'utf8') }
}

/** The certificate's own number, as a new connection sees it. */
async function serialOf(service: Service, ca: string): Promise<string> {
  const client = await Http2Client.open(service.port, ca)
  const { serial } = client
  client.close()
  return serial
}

/** Which slots have served handshakes that went on with a session of the first one, and whether they could. */
async function resume(port: number, options: ConnectionOptions, times: number) {
  let session: Buffer | undefined
  const seen: { slot: number; reused: boolean }[] = []
  for (let i = 0; i < times; i++) {
    const socket = connect({ port, host: '127.0.0.1', ...options, ...(session && { session }) })
    const fresh = new Promise<Buffer>((resolve) => socket.once('session', resolve))
    await event(socket, 'secureConnect')
    const reused = socket.isSessionReused()
    socket.write('GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n')
    let text = ''
    for await (const chunk of socket.setEncoding('utf8')) text += chunk
    if (!session) session = await fresh
    seen.push({ slot: Number(/"slot":(\d)/.exec(text)?.[1]), reused })
  }
  return seen
}

for (const SCHEDULING of ['rr', 'shared', 'sticky', 'reuseport']) {
  const skip = SCHEDULING === 'reuseport' && !hasReusePort
  test(`${SCHEDULING}: HTTP/1.1 and HTTP/2 share one port, and a reload loses no request`, { skip }, async (t) => {
    const env = {
      SCHEDULING,
      ...(SCHEDULING === 'reuseport' && { REUSEPORT_LOSS: 'allow', PORT: String(await freePort()) })
    }
    const { service, ca } = await startSecurely(t, { env, workers: SCHEDULING === 'rr' ? 2 : 1 })
    const load = new Load(t, service.port, { ...MIX, tight: SCHEDULING === 'rr' ? 1 : 0 }, { addresses: 20, ca })
    await load.until(100)
    const outcome = await service.reload()
    await load.until(load.answered + 100)
    await load.stop()
    assert.equal(outcome.msg, 'rollout done')
    const { cut, handedOver, total, ...ended } = outcome.connections as DrainStats
    assert.deepEqual({ cut, handedOver }, { cut: 0, handedOver: 0 })
    assert.equal(
      total,
      Object.values(ended).reduce((sum, count) => sum + count, 0)
    )
    // Without the kernel's help, the queue of a socket that is closed is lost: docs/explanation/scheduling.md.
    const failures = [...load.failures].filter(([kind]) => !(SCHEDULING === 'reuseport' && /connect: /.test(kind)))
    assert.deepEqual(failures, [])
    t.diagnostic(`${load.answered} answers, ${load.refused} asked again, ${JSON.stringify(outcome.connections)}`)
    assert.deepEqual(await service.stop(), { code: 0, signal: null })
  })
}

test('over https, cookies are __Host-, HSTS is set, TLS sessions resume at any worker, plain HTTP fails', async (t) => {
  const { service, ca } = await startSecurely(t, { env: { APP: EXAMPLE } })
  const client = await Http2Client.open(service.port, ca)
  const connection = await Connection.open(service.port, undefined, { ca })
  for (const { status, headers } of [await client.get('/'), await connection.request('GET', '/')]) {
    assert.equal(status, 200)
    assert.match(String(headers['set-cookie']), /^__Host-sid=.*; Secure/)
    assert.match(String(headers['strict-transport-security']), /^max-age=\d{7,}$/)
  }
  const cookie = String((await client.get('/')).headers['set-cookie']).split(';', 1)[0]!
  assert.equal(JSON.parse((await client.get('/', { cookie })).body).visits, 2)
  client.close()
  connection.close()
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    const seen = await resume(service.port, { ca, maxVersion }, 6)
    assert.deepEqual([...new Set(seen.map(({ slot }) => slot))].sort(), [0, 1])
    assert.deepEqual(
      seen.map(({ reused }) => reused),
      [false, true, true, true, true, true],
      maxVersion
    )
  }
  await assert.rejects(resume(service.port, { ca, minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1' }, 1))
  const plain = await Connection.open(service.port)
  await assert.rejects(plain.request('GET', '/'), NoAnswer)
})

test('a reload uses a renewed certificate, and a mismatched one fails it without losing a request', async (t) => {
  const { service, authority, files, ca } = await startSecurely(t)
  const first = await serialOf(service, ca)
  const renewed = authority.sign('renewed')
  copyFileSync(renewed.cert, files.cert)
  const failed = await muster(service, 'reload')
  assert.notEqual(failed.code, 0)
  assert.match(failed.stdout + failed.stderr, /TLS_KEY: .* does not fit/)
  for (let i = 0; i < 4; i++) assert.equal(await serialOf(service, ca), first)
  copyFileSync(renewed.key, files.key)
  assert.equal((await service.reload()).msg, 'rollout done')
  const second = await serialOf(service, ca)
  assert.notEqual(second, first)
  for (let i = 0; i < 4; i++) assert.equal(await serialOf(service, ca), second)
  const client = await Http2Client.open(service.port, ca)
  const { body } = await client.get('/metrics')
  client.close()
  assert.equal([...body.matchAll(/^tls_certificate_expiry_timestamp_seconds\{worker="\d"\} \d{10}$/gm)].length, 2)
  const shown = await muster(service, 'config')
  assert.match(shown.stdout, /TLS_KEY .*service\.key/)
  const key = readFileSync(files.key, 'utf8').split('\n')[1]!
  for (const text of [shown.stdout, service.stderr, JSON.stringify(service.lines)]) assert.ok(!text.includes(key))
})

test('an invalid certificate on disk does not stop the replacement of a worker', async (t) => {
  const { service, files, ca } = await startSecurely(t)
  const first = await serialOf(service, ca)
  for (const file of [files.cert, files.key]) writeFileSync(file, 'half of a file')
  for (let round = 0; round < 2; round++) {
    const from = service.lines.length
    const [pid, { slot }] = [...service.workers()].find(([, worker]) => worker.slot === round)!
    process.kill(pid, 'SIGKILL')
    await service.line((line) => line.msg === 'worker ready' && line.slot === slot, from)
  }
  for (let i = 0; i < 4; i++) assert.equal(await serialOf(service, ca), first)
  const failed = await muster(service, 'reload')
  assert.notEqual(failed.code, 0)
  assert.match(failed.stdout + failed.stderr, /TLS_CERT: .* contains no certificate/)
})

test('the keys of TLS session tickets rotate at every worker', async (t) => {
  const { service, ca } = await startSecurely(t, { env: { APP: EXAMPLE, TLS_TICKET_KEY_AGE: '3000' } })
  let session: Buffer | undefined
  /** @returns whether the handshake went on with the session of the first one */
  const resumes = async () => {
    const socket = connect({ port: service.port, host: '127.0.0.1', ca, ...(session && { session }) })
    const fresh = new Promise<Buffer>((resolve) => socket.once('session', resolve))
    await event(socket, 'secureConnect')
    const reused = socket.isSessionReused()
    if (!session) session = await fresh
    socket.destroy()
    return reused
  }
  assert.equal(await resumes(), false)
  // A session whose keys are gone is not resumed by either worker.
  for (let refused = 0; refused < 4; ) refused = (await resumes()) ? 0 : refused + 1
})

test('an expired certificate is served, and the log warns of it', async (t) => {
  const authority = new Authority(t)
  const { cert, key } = authority.sign('service', 'IP:127.0.0.1', 0)
  const { url } = await startRedis(t)
  const env = { REDIS_URL: url, TLS_CERT: cert, TLS_KEY: key }
  const service = await startService(t, { env, workers: 1 })
  await service.line((line) => line.msg === 'the certificate in TLS_CERT has expired' && line.level === 40)
  const client = await Http2Client.open(service.port)
  assert.equal((await client.get('/livez')).status, 200)
  client.close()
})

test('SIGTERM answers requests in flight on both protocols and cuts no connection', async (t) => {
  const { service, ca } = await startSecurely(t, { env: { LAME_DUCK: '500' } })
  const silent = await Connection.open(service.port, undefined, { ca })
  const load = new Load(t, service.port, MIX, { addresses: 20, ca })
  const client = await Http2Client.open(service.port, ca)
  const connection = await Connection.open(service.port, undefined, { ca })
  await load.until(100)
  const answers = [client.get('/slow?ms=2500&id=1'), connection.request('GET', '/slow?ms=2500&id=2')]
  await client.get('/echo?id=0')
  const from = service.lines.length
  const goaway = event(client.session, 'goaway')
  service.child.kill('SIGTERM')
  await goaway
  await assert.rejects(client.get('/echo?id=3'), { name: 'Error', message: /ERR_HTTP2|refused/ })
  for (const { status } of await Promise.all(answers)) assert.equal(status, 200)
  assert.deepEqual(await service.exited, { code: 0, signal: null })
  await load.stop()
  const failures = [...load.failures].filter(([kind]) => !/connect:? (ECONNREFUSED|ECONNRESET)/.test(kind))
  assert.deepEqual(failures, [])
  for (const { connections } of service.lines.slice(from).filter((line) => line.msg === 'drained'))
    assert.equal((connections as DrainStats).cut, 0)
  assert.ok(silent.ended)
  t.diagnostic(`${load.answered} answers, ${load.refused} asked again`)
})

test('clients that stall in the handshake, before, in or after a request are disconnected', async (t) => {
  const env = {
    APP: fixture('much'),
    HEADERS_TIMEOUT: '1000',
    REQUEST_TIMEOUT: '1500',
    SEND_TIMEOUT: '1500'
  }
  const { service, ca } = await startSecurely(t, { env, workers: 1 })
  const hello = connectPlainly(service.port, '127.0.0.1').on('error', () => {})
  // The head of a record that never comes whole, a byte at a time.
  hello.write(Buffer.from([0x16, 3, 1, 2, 0]))
  const trickle = setInterval(() => hello.write(Buffer.from([1])), 100)
  t.after(() => clearInterval(trickle))
  const idle = await Http2Client.open(service.port, ca)
  const half = await Http2Client.open(service.port, ca)
  const body = half.session.request({ ':method': 'POST', ':path': '/hits', 'content-type': 'application/json' })
  body.on('error', () => {}).write('{')
  const greedy = await Http2Client.open(service.port, ca)
  const much = greedy.session.request({ ':path': '/much' }).on('error', () => {})
  const closed = (one: EventEmitter) => new Promise((resolve) => one.once('close', resolve))
  await Promise.all([hello.resume(), idle.session, body, much].map(closed))
  assert.equal(service.workers().size, 1)
  for (const client of [half, greedy]) client.close()
})

test('MAX_CONNECTIONS holds for TLS, and a flood of reset streams harms no other client', async (t) => {
  const { service, ca } = await startSecurely(t, {
    env: { MAX_CONNECTIONS: '2', KEEP_ALIVE_TIMEOUT: '5000' },
    workers: 1
  })
  const good = await Connection.open(service.port, undefined, { ca })
  const other = await Http2Client.open(service.port, ca)
  await assert.rejects(Http2Client.open(service.port, ca), NoAnswer, 'a third connection')
  other.close()
  const began = performance.now()
  let sent = 0
  while (sent < 2000) {
    // The one before is let go after KEEP_ALIVE_TIMEOUT at the latest, though Node 20 has stopped to read it.
    const bad = await Http2Client.open(service.port, ca).catch(() => undefined)
    if (!bad) {
      assert.ok(performance.now() - began < PATIENCE_MS, 'a connection is held')
      assert.equal((await good.request('GET', '/echo?id=1')).status, 200)
      continue
    }
    for (; sent < 2000 && !bad.ended; sent++) {
      const stream = bad.session.request({ ':path': '/slow?ms=100&id=1' }).on('error', () => {})
      stream.close(8)
      if (sent % 50 === 49) assert.equal((await good.request('GET', '/echo?id=1')).status, 200)
    }
    bad.close()
  }
  assert.equal((await good.request('GET', '/echo?id=1')).status, 200)
  assert.equal(service.lines.filter((line) => line.msg === 'worker exited').length, 0)
  good.close()
  assert.deepEqual(await service.stop(), { code: 0, signal: null })
})

test('HTTP/2: 100 Continue comes when the body is read, and never before a refusal', async (t) => {
  const { service, ca } = await startSecurely(t, { workers: 1, env: { APP: EXAMPLE } })
  const client = await Http2Client.open(service.port, ca)
  t.after(() => client.close())
  const ask = (path: string, length: number) =>
    new Promise<(string | number)[]>((resolve, reject) => {
      const seen: (string | number)[] = []
      const stream = client.session.request({
        ':method': 'POST',
        ':path': path,
        'content-type': 'application/json',
        'content-length': String(length),
        expect: '100-continue'
      })
      stream.on('continue', () => {
        seen.push('continue')
        stream.end(JSON.stringify({ name: 'ada' }))
      })
      stream.on('response', ({ ':status': status = 0 }) => {
        seen.push(status)
        stream.close()
        resolve(seen)
      })
      stream.on('error', reject)
    })
  assert.deepEqual(await ask('/session', 14), ['continue', 200])
  assert.deepEqual(await ask('/nowhere', 14), [404])
  assert.deepEqual(await ask('/session', 70_000), [413])
})
