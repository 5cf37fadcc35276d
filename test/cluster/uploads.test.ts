import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Authority } from '../helpers/certificates.ts'
import { type Answer, Connection, head } from '../helpers/http.ts'
import { Http2Client } from '../helpers/http2.ts'
import { fixture } from '../helpers/load.ts'
import { startRedis } from '../helpers/redis.ts'
import { type Service, startService, temporaryFolder } from '../helpers/service.ts'
import '../helpers/takes-long.ts'

const BODY = { 'content-type': 'application/octet-stream', 'content-length': '1000000' }
const EVERY_MS = 100
/** What a busy machine may add to a limit. */
const LATE_MS = 20_000

async function startUploads(t: TestContext, env: Record<string, string> = {}): Promise<Service> {
  const { url } = await startRedis(t)
  return startService(t, {
    workers: 1,
    env: { REDIS_URL: url, APP: fixture('uploads'), HEADERS_TIMEOUT: '1000', ...env }
  })
}

/** An upload that is never complete before it is told to be. */
class Upload {
  readonly answer: Promise<Answer & { afterMs: number }>
  readonly #connection: Connection
  readonly #timer: NodeJS.Timeout
  #left = Number(BODY['content-length'])

  private constructor(connection: Connection, path: string) {
    const since = performance.now()
    this.#connection = connection
    connection.socket.write(head('POST', path, BODY))
    this.#timer = setInterval(() => this.#send(1), EVERY_MS)
    this.answer = connection
      .expect()
      .then((answer) => ({ ...answer, afterMs: performance.now() - since }))
      .finally(() => clearInterval(this.#timer))
    this.answer.catch(() => {})
  }

  static async begin(t: TestContext, port: number, path: string): Promise<Upload> {
    const connection = await Connection.open(port)
    t.after(() => connection.close())
    return new Upload(connection, path)
  }

  complete(): void {
    clearInterval(this.#timer)
    this.#send(this.#left)
  }

  #send(bytes: number): void {
    this.#left -= bytes
    this.#connection.socket.write('x'.repeat(bytes))
  }
}

async function isRefused(upload: Upload, limitMs: number): Promise<void> {
  const { status, body, headers, afterMs } = await upload.answer
  assert.equal(status, 408)
  assert.deepEqual(JSON.parse(body), {
    statusCode: 408,
    code: 'CLIENT_ERROR',
    error: 'Request Timeout',
    message: 'The request did not arrive in time'
  })
  assert.equal(headers.connection, 'close')
  assert.ok(afterMs >= limitMs - 100 && afterMs < limitMs + LATE_MS, `${afterMs} ms instead of ${limitMs}`)
}

test('a route may let its requests take longer than REQUEST_TIMEOUT, or shorter', async (t) => {
  const quick = await startUploads(t, { REQUEST_TIMEOUT: '1000' })
  const slow = await startUploads(t)
  const endless = await Upload.begin(t, quick.port, '/endless')
  await Promise.all([
    isRefused(await Upload.begin(t, quick.port, '/default'), 1000),
    isRefused(await Upload.begin(t, quick.port, '/long'), 4000),
    isRefused(await Upload.begin(t, slow.port, '/short'), 1500)
  ])
  endless.complete()
  const { status, body } = await endless.answer
  assert.deepEqual([status, (JSON.parse(body) as { bytes: number }).bytes], [200, Number(BODY['content-length'])])
  const line = await quick.line(
    ({ msg, url, status: logged }) => msg === 'request' && url === '/long' && logged === 408
  )
  assert.equal(line.aborted, undefined)
})

test('a connection whose upload took long serves its next request under REQUEST_TIMEOUT', async (t) => {
  const { port } = await startUploads(t, { REQUEST_TIMEOUT: '1000' })
  const connection = await Connection.open(port)
  t.after(() => connection.close())
  const upload = connection.expect()
  connection.socket.write(`${head('POST', '/endless', { ...BODY, 'content-length': '4' })}abc`)
  const other = await Upload.begin(t, port, '/long')
  await isRefused(other, 4000)
  connection.socket.write('d')
  assert.equal((await upload).status, 200)
  const late = connection.expect()
  connection.socket.write(`${head('POST', '/default', { ...BODY, 'content-length': '4' })}abc`)
  assert.equal((await late).status, 408)
})

test('the limit of a route counts over HTTP/2 too, for its stream alone', async (t) => {
  const authority = new Authority(t)
  const { cert, key } = authority.sign('service')
  const service = await startUploads(t, { REQUEST_TIMEOUT: '1000', TLS_CERT: cert, TLS_KEY: key })
  const client = await Http2Client.open(service.port, readFileSync(authority.file, 'utf8'))
  t.after(() => client.close())
  const begin = (path: string) => {
    const stream = client.session.request({ ':method': 'POST', ':path': path, 'content-type': BODY['content-type'] })
    stream.on('error', () => {}).write('abc')
    return stream
  }
  const endless = begin('/endless')
  const started = performance.now()
  const closed = (path: string) =>
    new Promise<number>((resolve) => begin(path).once('close', () => resolve(performance.now() - started)))
  const [plain, long] = await Promise.all([closed('/default'), closed('/long')])
  assert.ok(plain >= 900 && plain < long, `${plain} ms`)
  assert.ok(long >= 3900, `${long} ms`)
  const status = new Promise((resolve) => endless.once('response', (headers) => resolve(headers[':status'])))
  endless.end('d')
  assert.equal(await status, 200)
})

test('a reload waits for an upload', async (t) => {
  const service = await startUploads(t, { REQUEST_TIMEOUT: '1000', CANARY_TIME: '100' })
  const upload = await Upload.begin(t, service.port, '/endless')
  const refused = await Upload.begin(t, service.port, '/long')
  const reload = service.reload()
  // The old worker is draining while the other upload runs into the limit of its route.
  await isRefused(refused, 4000)
  upload.complete()
  const { status, body } = await upload.answer
  assert.deepEqual([status, (JSON.parse(body) as { generation: number }).generation], [200, 1])
  assert.equal((await reload).msg, 'rollout done')
})

test('an invalid limit of a route is refused', async (t) => {
  const app = join(temporaryFolder(t), 'app.mjs')
  writeFileSync(
    app,
    "export default async (app) => app.get('/a', { config: { requestTimeout: '5 s' } }, async () => '')"
  )
  const { url } = await startRedis(t)
  const service = await startService(t, { workers: 1, env: { REDIS_URL: url, APP: app }, wait: false })
  assert.equal((await service.exited).code, 78)
  assert.match(service.stderr, /route GET \/a: config.requestTimeout must be a number of ms, or 0 for no limit/)
})
