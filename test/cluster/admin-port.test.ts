import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { test } from 'node:test'
import type { ConnectionOptions } from 'node:tls'
import { TOKENS } from '../helpers/admin.ts'
import { Authority } from '../helpers/certificates.ts'
import { Connection, freePort, once } from '../helpers/http.ts'
import { fixture } from '../helpers/load.ts'
import { startRedis } from '../helpers/redis.ts'
import { type Service, startService } from '../helpers/service.ts'
import '../helpers/uncounted.ts'
import '../helpers/takes-long.ts'

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
const hasReusePort = major > 22 || (major === 22 && minor >= 12)
const ADMIN = ['/metrics', '/docs', '/docs/json', '/admin', '/admin/status']
const PROBES = ['/livez', '/readyz', '/healthz']
const OWN = ['/who/1']
const headers = { authorization: `Bearer ${TOKENS.ADMIN_TOKEN}` }

const adminPortOf = (service: Service) => service.lines.find(({ msg }) => msg === 'muster started')!.adminPort as number

/** Which of the paths are there. */
async function foundAt(port: number, tls?: ConnectionOptions): Promise<string[]> {
  const connection = await Connection.open(port, undefined, tls)
  const found: string[] = []
  for (const path of [...ADMIN, ...PROBES, ...OWN]) {
    const { status, body } = await connection.request('GET', path, headers)
    assert.ok(status === 200 || status === 404, `${path}: ${status} ${body}`)
    if (status === 200) found.push(path)
  }
  connection.close()
  return found
}

for (const SCHEDULING of ['rr', 'shared', 'sticky', 'reuseport']) {
  const skip = SCHEDULING === 'reuseport' && !hasReusePort
  test(`${SCHEDULING}: ADMIN_PORT has metrics, docs and admin, PORT has the service, both have probes`, {
    skip
  }, async (t) => {
    const { url } = await startRedis(t)
    const port = SCHEDULING === 'reuseport' ? { PORT: String(await freePort()), REUSEPORT_LOSS: 'allow' } : {}
    const env = {
      REDIS_URL: url,
      APP: fixture('who'),
      SCHEDULING,
      ADMIN_PORT: '0',
      KEEP_ALIVE_TIMEOUT: '60000',
      ...TOKENS
    }
    const service = await startService(t, { env: { ...env, ...port } })
    const adminPort = adminPortOf(service)
    assert.deepEqual(await foundAt(service.port), [...PROBES, ...OWN])
    assert.deepEqual(await foundAt(adminPort), [...ADMIN, ...PROBES])
    assert.equal((await once(service.port, 'POST', '/metrics')).status, 404, 'other methods do not betray the path')
    assert.equal((await once(adminPort, 'POST', '/metrics')).status, 405)

    const [atPort, atAdminPort] = await Promise.all([Connection.open(service.port), Connection.open(adminPort)])
    const statuses = async () => [
      (await atPort.request('GET', '/metrics')).status,
      (await atPort.request('GET', '/who/1')).status,
      (await atAdminPort.request('GET', '/metrics')).status,
      (await atAdminPort.request('GET', '/who/1')).status
    ]
    assert.deepEqual(await statuses(), [404, 200, 200, 404])
    assert.equal((await service.reload()).msg, 'rollout done')
    assert.deepEqual(await statuses(), [404, 200, 200, 404], 'a transferred connection belongs to the same port')
    assert.equal(atPort.ended || atAdminPort.ended, false)
    for (const connection of [atPort, atAdminPort]) connection.close()
    assert.deepEqual(await service.stop(), { code: 0, signal: null })
  })
}

test('with TLS_CERT both ports speak https', async (t) => {
  const authority = new Authority(t)
  const files = authority.sign('service')
  const ca = readFileSync(authority.file, 'utf8')
  const { url } = await startRedis(t)
  const env = {
    REDIS_URL: url,
    APP: fixture('who'),
    ADMIN_PORT: '0',
    TLS_CERT: files.cert,
    TLS_KEY: files.key,
    ...TOKENS
  }
  const service = await startService(t, { env })
  assert.deepEqual(await foundAt(service.port, { ca }), [...PROBES, ...OWN])
  assert.deepEqual(await foundAt(adminPortOf(service), { ca }), [...ADMIN, ...PROBES])
})

test('ADMIN_PORT answers while PORT has reached its connection limit', async (t) => {
  const { url } = await startRedis(t)
  const env = {
    REDIS_URL: url,
    APP: fixture('who'),
    ADMIN_PORT: '0',
    MAX_CONNECTIONS: '2',
    KEEP_ALIVE_TIMEOUT: '60000'
  }
  const service = await startService(t, { env, workers: 1 })
  const held = await Promise.all([1, 2].map(() => Connection.open(service.port)))
  for (const connection of held) assert.equal((await connection.request('GET', '/who/1')).status, 200)
  assert.equal((await once(service.port, 'GET', '/readyz')).status, 503)
  assert.equal((await once(adminPortOf(service), 'GET', '/readyz')).status, 200)
  for (const connection of held) connection.close()
})

test('an ADMIN_PORT that is in use stops the start, and the error names it', async (t) => {
  const { url } = await startRedis(t)
  const server = createServer().listen(0, '127.0.0.1')
  t.after(() => server.close())
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as { port: number }
  const service = await startService(t, { env: { REDIS_URL: url, ADMIN_PORT: String(port) }, wait: false })
  assert.equal((await service.exited).code, 78)
  assert.match(service.stderr, new RegExp(`port ${port} of 127.0.0.1 is taken by another process.* set ADMIN_PORT`))
})
