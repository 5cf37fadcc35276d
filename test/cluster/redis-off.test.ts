import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { once } from '../helpers/http.ts'
import { muster, START, startService, temporaryFolder } from '../helpers/service.ts'
import '../helpers/uncounted.ts'
import '../helpers/takes-long.ts'

const APP = `export default async function (app) {
  app.get('/plain', async () => ({ slot: app.worker.slot }))
  app.get('/session', async (request) => request.session.id ?? 'none')
  app.get('/hits', () => app.shared.hits.increment())
  app.get('/lock', () => app.shared.lock('x', 1000, () => 'ran'))
  app.get('/ping', () => app.redis.ping())
  app.get('/setting', () => String(app.shared.settings.get('maintenance')))
  app.get('/broadcast', () => app.shared.broadcast('t', 1, { scope: 'all' }))
  app.get('/limited', { config: { rateLimit: { max: 2, timeWindow: 60000 } } }, async () => 'ok')
}`

const TOKEN = 'correct-horse-battery-staple-2026'

async function startWithout(t: TestContext, source: string, wait = true) {
  const app = join(temporaryFolder(t), 'app.mjs')
  writeFileSync(app, source)
  const env = { REDIS: 'off', APP: app, ADMIN_TOKEN: TOKEN, REDIS_URL: '' }
  return startService(t, { env, wait, command: START })
}

test('with REDIS=off an app that needs no Redis runs, and features that do say so', async (t) => {
  const service = await startWithout(t, APP)
  const get = (path: string) => once(service.port, 'GET', path)
  assert.equal((await get('/plain')).status, 200)
  for (const path of ['/session', '/hits', '/lock', '/ping']) {
    const { status, body } = await get(path)
    assert.deepEqual([path, status, JSON.parse(body).code], [path, 501, 'NO_REDIS'])
    assert.match(JSON.parse(body).message, /REDIS=off/)
  }
  assert.equal((await get('/setting')).body, 'false')
  const { body } = await get('/broadcast')
  assert.equal(JSON.parse(body).acks.length, 2)
  const ready = await get('/readyz?verbose')
  assert.deepEqual([ready.status, JSON.parse(ready.body).checks.redis], [200, 'off'])
  const metrics = (await get('/metrics')).body
  assert.ok(metrics.includes('http_request_duration_seconds') && !metrics.includes('redis_up'))
  const admin = (authorization: string) =>
    fetch(`${service.url}/admin/status`, { headers: { authorization, connection: 'close' } })
  assert.deepEqual([(await admin('Bearer wrong')).status, (await admin(`Bearer ${TOKEN}`)).status], [401, 200])
  assert.equal((await muster(service, 'cache-clear')).code, 0)
  const refused = await muster(service, 'settings', 'set', 'banner', 'x')
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /REDIS=off/)
  assert.equal((await service.reload()).msg, 'rollout done')
  // A busy machine alone makes a primary say that it stalled.
  const expected = ['request', 'admin refused', 'primary stalled']
  assert.deepEqual(
    service.lines.filter(({ level, msg }) => Number(level) >= 40 && !expected.includes(msg)),
    []
  )
  assert.ok(!service.lines.some(({ msg }) => msg.startsWith('embedded Redis')))
  assert.deepEqual(await service.stop(), { code: 0, signal: null })
})

test('with REDIS=off a route has its own rate limit, counted in each worker', async (t) => {
  const service = await startWithout(t, APP)
  const statuses = await Promise.all(
    Array.from({ length: 10 }, async () => (await once(service.port, 'GET', '/limited')).status)
  )
  const allowed = statuses.filter((status) => status === 200).length
  assert.ok(allowed >= 2 && allowed <= 4, `${allowed} of 10`)
  assert.ok(
    statuses.every((status) => status === 200 || status === 429),
    statuses.join()
  )
})

test('with REDIS=off an app that calls every() does not start, and the error says why', async (t) => {
  const service = await startWithout(
    t,
    `export default async (app) => { app.shared.every('job', 1000, () => {}) }`,
    false
  )
  assert.deepEqual(await service.exited, { code: 78, signal: null })
  assert.match(service.stderr, /This needs Redis, and the service runs with REDIS=off/)
})
