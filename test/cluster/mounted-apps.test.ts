import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { connect } from 'node:tls'
import type { DrainStats } from '../../src/ipc/messages.ts'
import { Authority } from '../helpers/certificates.ts'
import { cleanup } from '../helpers/cleanup.ts'
import { Connection, freePort } from '../helpers/http.ts'
import { fixture, Load } from '../helpers/load.ts'
import { startModule } from '../helpers/modules.ts'
import { startRedis } from '../helpers/redis.ts'
import { type Line, type Service, startService, temporaryFolder } from '../helpers/service.ts'
import '../helpers/takes-long.ts'

const RELOADS = 5
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
const hasReusePort = major > 22 || (major === 22 && minor >= 12)
const FASTIFY = JSON.stringify(createRequire(import.meta.url).resolve('fastify'))
const REPLY =
  "response.setHeader('content-type', 'application/json'); response.end(JSON.stringify({ url: request.url }))"

const APPS: Record<string, [name: string, source: string]> = {
  'a listener as default export': ['app.mjs', `export default (request, response) => { ${REPLY} }`],
  'a listener of CommonJS': ['app.cjs', `module.exports = function (request, response) { ${REPLY} }`],
  'a listener that only its declaration tells': [
    'app.mjs',
    `export default (...[request, response]) => { ${REPLY} }; export const muster = { kind: 'listener' }`
  ],
  'a listener of compiled CommonJS': [
    'app.cjs',
    `exports.__esModule = true; exports.default = (request, response) => { ${REPLY} }`
  ],
  'an http.Server': [
    'app.mjs',
    `import { createServer } from 'node:http'; export default createServer((request, response) => { ${REPLY} })`
  ],
  'a server that listens while the module loads': [
    'app.cjs',
    `require('node:http').createServer((request, response) => { ${REPLY} }).listen(3000)`
  ],
  'an app that is exported, and whose server listens later': [
    'app.mjs',
    `import { createServer } from 'node:http'
    const app = (request, response) => { ${REPLY} }
    setTimeout(() => createServer(app).listen(3000), 100)
    export default app`
  ],
  'a promise of an instance of Fastify': [
    'app.mjs',
    `import Fastify from ${FASTIFY}
    async function build() {
      const app = Fastify()
      app.get('/*', async (request) => ({ url: request.url }))
      return app
    }
    export default build()`
  ],
  'an instance of Fastify that listens at localhost': [
    'app.mjs',
    `import Fastify from ${FASTIFY}
    const app = Fastify()
    app.get('/*', async (request) => ({ url: request.url }))
    app.listen({ port: 3000 }, (error) => { if (error) throw error })`
  ]
}

for (const [what, [name, source]] of Object.entries(APPS)) {
  test(`${what} is served`, async (t) => {
    const service = await startModule(t, name, source)
    const answer = await fetch(`${service.url}/a?b=c`)
    assert.deepEqual([answer.status, await answer.json()], [200, { url: '/a?b=c' }])
    assert.equal(answer.headers.get('content-security-policy'), null)
    assert.equal(answer.headers.get('x-content-type-options'), 'nosniff')
    assert.match(answer.headers.get('x-request-id') ?? '', /./)
    assert.equal((await fetch(`${service.url}/livez`)).status, 200)
    assert.deepEqual(await service.stop(), { code: 0, signal: null })
  })
}

/** The app that listens itself, with two workers. */
async function startListening(t: TestContext, env: Record<string, string> = {}, workers = 2): Promise<Service> {
  const { url } = await startRedis(t)
  const keeps = ({ msg, level }: Line) => msg !== 'request' || Number(level) > 30
  return startService(t, { env: { REDIS_URL: url, APP: fixture('listening-server'), ...env }, workers, keeps })
}

test('a program that starts its own server is served, on the port of the service', async (t) => {
  const service = await startListening(t, {}, 1)
  const address = (await (await fetch(`${service.url}/address`)).json()) as object
  assert.deepEqual(address, { address: '127.0.0.1', family: 'IPv4', port: service.port })
  await assert.rejects(fetch('http://127.0.0.1:3000/address'))
  for (const method of ['PUT', 'PATCH', 'PROPFIND', 'QUERY', 'DELETE']) {
    const answer = await fetch(`${service.url}/body`, { method, body: '{"not": "parsed"' })
    assert.deepEqual([answer.status, await answer.json()], [200, { method, body: '{"not": "parsed"' }])
  }
  const connection = await Connection.open(service.port)
  t.after(() => connection.close())
  for (const path of ['/%zz', '/100%?a=%', `/${'x'.repeat(500)}`, '//a/../b;c', '/echo']) {
    const { status, body } = await connection.request('GET', path, { accept: 'text/plain' })
    assert.deepEqual([status, body], path === '/echo' ? [200, '{"id":null}'] : [404, `no ${path}`])
  }
  await service.stop()
  assert.match(service.workerStderr, /the app listens at \{"address":"127.0.0.1"/)
  assert.match(service.workerStderr, /the server of the app is closed/)
})

test('reloads under load lose no request of such a program, and keep its connections', async (t) => {
  const service = await startListening(t, { CANARY_TIME: '100' })
  const load = new Load(t, service.port, { tight: 4, fresh: 2, slow: 4, pipelined: 2, idle: 20 })
  for (let i = 1; i <= RELOADS; i++) {
    const outcome = await service.reload()
    assert.equal(outcome.msg, 'rollout done')
    assert.equal((outcome.connections as DrainStats).cut, 0)
  }
  await load.stop()
  assert.deepEqual([...load.failures], [])
  assert.equal(load.reopened, 0, 'a connection was closed that could have stayed open')
  assert.ok(load.answered > 50 * RELOADS, `${load.answered} answers`)
})

test('errors that its listener throws are answered, logged and counted', async (t) => {
  const service = await startListening(t, {}, 1)
  for (const path of ['/throws', '/rejects']) {
    const from = service.lines.length
    const answer = await fetch(service.url + path)
    assert.equal(answer.status, 500)
    assert.deepEqual(await answer.json(), {
      statusCode: 500,
      code: 'INTERNAL',
      error: 'Internal Server Error',
      message: 'Internal error'
    })
    const line = await service.line(({ msg }) => msg === 'handler failed', from)
    assert.match((line.err as { stack: string }).stack, /on purpose/)
    await service.line(({ msg, url, status }) => msg === 'request' && url === path && status === 500, from)
  }
  const page = await (await fetch(`${service.url}/metrics`)).text()
  assert.match(
    page,
    /http_request_duration_seconds_count\{[^}]*method="GET"[^}]*route="\/\*"[^}]*status_code="500"[^}]*\} 2/
  )
})

test('a client that leaves is counted as aborted', async (t) => {
  const service = await startListening(t, {}, 1)
  const leaving = fetch(`${service.url}/slow?ms=60000`, { signal: AbortSignal.timeout(200) })
  await assert.rejects(leaving)
  const counted = async () => {
    const page = await (await fetch(`${service.url}/metrics`)).text()
    return /http_requests_aborted_total\{[^}]*method="GET"[^}]*route="\/\*"[^}]*\} 1/.test(page)
  }
  while (!(await counted())) await new Promise((resolve) => setTimeout(resolve, 50))
})

for (const scheduling of ['rr', 'shared', 'sticky', 'reuseport']) {
  const skip = scheduling === 'reuseport' && !hasReusePort
  test(`upgrades reach its server with SCHEDULING=${scheduling}`, { skip }, async (t) => {
    const port = scheduling === 'reuseport' ? { PORT: String(await freePort()) } : {}
    const service = await startListening(t, {
      SCHEDULING: scheduling,
      REUSEPORT_LOSS: 'allow',
      DRAIN_TIMEOUT: '600000',
      ...port
    })
    const connection = await Connection.open(service.port)
    t.after(() => connection.close())
    const received = new Promise<string>((resolve) => {
      let text = ''
      connection.socket.on('data', (chunk: string) => {
        text += chunk
        if (text.endsWith('hello')) resolve(text)
      })
    })
    connection.socket.write('GET /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello')
    assert.match(await received, /^HTTP\/1.1 101 Switching Protocols\r\n[\s\S]*\r\n\r\nhello$/)
    // The app ends it when its worker drains.
    const ended = once(connection.socket, 'end')
    assert.equal((await service.reload()).msg, 'rollout done')
    await ended
  })
}

test('the hooks of an exported instance of Fastify run when the worker listens and when it ends', async (t) => {
  const source = `import Fastify from ${FASTIFY}
  const app = Fastify()
  for (const name of ['onReady', 'onListen', 'preClose', 'onClose']) app.addHook(name, async () => console.error(name))
  app.addHook('onListen', async () => console.error(app.listeningOrigin))
  export default app`
  const service = await startModule(t, 'app.mjs', source)
  await service.stop()
  assert.equal(service.workerStderr, `onReady\nonListen\n${service.url}\npreClose\nonClose\n`)
})

test('the hooks of a plugin run when the worker listens, and Fastify logs no address', async (t) => {
  const source = `export default async (app) => {
    for (const name of ['onReady', 'onListen', 'preClose', 'onClose']) app.addHook(name, async () => console.error(name))
    app.addHook('onListen', async () => app.log.warn({ origin: app.listeningOrigin, at: app.server.address() }, 'listens'))
    app.get('/', async () => 'hello')
  }`
  const service = await startModule(t, 'app.mjs', source)
  const line = await service.line(({ msg }) => msg === 'listens')
  assert.deepEqual([line.origin, (line.at as { port: number }).port], [service.url, service.port])
  assert.equal(await (await fetch(service.url)).text(), 'hello')
  await service.stop()
  assert.equal(service.workerStderr, 'onReady\nonListen\npreClose\nonClose\n')
  assert.ok(service.lines.every(({ msg }) => !msg.startsWith('Server listening')))
})

test('HTTP/2 is offered to apps that understand it only', async (t) => {
  const authority = new Authority(t)
  const { cert, key } = authority.sign('service')
  const ca = readFileSync(authority.file, 'utf8')
  const negotiated = async (source: string) => {
    const service = await startModule(t, 'app.mjs', source, { TLS_CERT: cert, TLS_KEY: key })
    const socket = connect({ port: service.port, host: '127.0.0.1', ca, ALPNProtocols: ['h2', 'http/1.1'] })
    cleanup(t, () => socket.destroy())
    await once(socket, 'secureConnect')
    const { http2 } = await service.line(({ msg }) => msg === 'app mounted')
    return [socket.alpnProtocol, http2]
  }
  assert.deepEqual(await negotiated(`export default (request, response) => { ${REPLY} }`), ['http/1.1', false])
  assert.deepEqual(await negotiated(`import Fastify from ${FASTIFY}; export default Fastify()`), ['h2', true])
})

test('socket.io without sticky scheduling is warned of once, and so is no other app', async (t) => {
  const folder = temporaryFolder(t)
  const engine = join(folder, 'node_modules', 'engine.io')
  mkdirSync(engine, { recursive: true })
  writeFileSync(join(engine, 'index.js'), '')
  const app = join(folder, 'app.cjs')
  writeFileSync(app, `require('engine.io'); module.exports = (request, response) => { ${REPLY} }`)
  const { url } = await startRedis(t)
  const warnings = async (env: Record<string, string>, workers = 2) => {
    const service = await startService(t, { env: { REDIS_URL: url, ...env }, workers })
    await service.stop()
    return service.lines.filter(({ msg }) => msg === 'socket.io clients may reach different workers').length
  }
  assert.equal(await warnings({ APP: app }), 1)
  assert.equal(await warnings({ APP: app }, 1), 0)
  assert.equal(await warnings({ APP: app, SCHEDULING: 'sticky' }), 0)
  assert.equal(await warnings({ APP: fixture('listening-server') }), 0)
})

test('an app that ends itself at a signal does so when the worker has drained', async (t) => {
  const source = `import { createServer } from 'node:http'
  const server = createServer((request, response) => {
    console.error('asked')
    setTimeout(() => response.end('done'), 1500)
  }).listen(3000)
  process.on('SIGINT', () => console.error('SIGINT'))
  process.on('SIGTERM', async (signal, number) => console.error(signal, number))
  process.once('SIGTERM', () => {
    server.close((error) => {
      console.error('closed', error)
      setTimeout(() => process.exit(0), 10)
    })
  })`
  const service = await startModule(t, 'app.mjs', source)
  const answer = fetch(service.url)
  await service.line(({ line }) => line === 'asked')
  // As a terminal does at Ctrl+C: every process of the group gets the signal.
  process.kill(-service.pid, 'SIGINT')
  assert.equal(await (await answer).text(), 'done')
  assert.deepEqual(await service.exited, { code: 0, signal: null })
  assert.equal(service.workerStderr, 'asked\nSIGTERM 15\nclosed undefined\n')
  assert.ok(service.lines.some(({ msg, why }) => msg === 'worker exited' && why === 'exit code 0'))
})

test('the example of docs/guide/other-frameworks.md works', async (t) => {
  const page = readFileSync(new URL('../../../docs/guide/other-frameworks.md', import.meta.url), 'utf8')
  const [, example = ''] = /^```js\n\/\/ app\.cjs.*?\n(.*?)^```/ms.exec(page) ?? []
  const service = await startModule(t, 'app.cjs', example)
  await service.line(({ msg }) => msg === `listening on port ${service.port}`)
  assert.equal(await (await fetch(service.url)).text(), 'Hello')
})
