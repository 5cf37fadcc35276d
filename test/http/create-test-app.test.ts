import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { FastifyInstance } from 'fastify'
import * as example from '../../src/routes/index.ts'
import { createTestApp } from '../../src/testing/index.ts'
import { startRedis } from '../helpers/redis.ts'
import { processesWith } from '../helpers/service.ts'

// For this file alone: others create test apps at the same time.
const folder = mkdtempSync(join(tmpdir(), 'muster-'))
process.env.TMPDIR = folder
after(() => rmSync(folder, { recursive: true, force: true }))
const appFolders = () => readdirSync(folder).filter((name) => name.startsWith('muster-test-'))
const hit = async (app: FastifyInstance) => (await app.inject({ method: 'POST', url: '/hits' })).json().hits
const cookieOf = (answer: { cookies: { name: string; value: string }[] }) =>
  Object.fromEntries(answer.cookies.map(({ name, value }) => [name, value]))

test('a test app has what a worker serves: sessions, counters, probes, metrics and the OpenAPI document', async () => {
  const app = await createTestApp(example)
  assert.deepEqual([await hit(app), await hit(app)], [1, 2])
  const signIn = await app.inject({ method: 'POST', url: '/session', payload: { name: 'ada' } })
  const session = await app.inject({ url: '/session', cookies: cookieOf(signIn) })
  assert.equal(session.json().name, 'ada')
  assert.deepEqual((await app.sessions.list('ada')).length, 1)
  for (const url of ['/livez', '/readyz', '/metrics', '/docs/json', '/hits/']) {
    assert.equal((await app.inject(url)).statusCode, 200, url)
  }
  const shared = { ...app.shared }
  assert.equal(await shared.lock('one', 1000, () => 'locked'), 'locked')
  await app.close()
})

test('a closed test app leaves no process, no file and no key', async (t) => {
  const app = await createTestApp(example)
  const [own] = appFolders()
  assert.ok(own && existsSync(join(folder, own, 'redis.sock')))
  assert.equal(processesWith(own).length, 1)
  await hit(app)
  await app.close()
  await app.close()
  assert.deepEqual(processesWith(own), [])
  assert.deepEqual(appFolders(), [])

  const { url, client } = await startRedis(t)
  await client.set('muster:hits', 41)
  const other = await createTestApp(example, { env: { REDIS_URL: url } })
  assert.equal(await hit(other), 1)
  await other.inject({ method: 'POST', url: '/session', payload: { name: 'ada' } })
  assert.notEqual((await client.keys('*test-*')).length, 0)
  await other.close()
  assert.deepEqual(await client.keys('*'), ['muster:hits'])
})

test('test apps see nothing of each other, unless they are workers of one service', async (t) => {
  const [one, other] = await Promise.all([createTestApp(example), createTestApp(example)])
  assert.deepEqual([await hit(one), await hit(other)], [1, 1])
  const { url } = await startRedis(t)
  const env = { REDIS_URL: url }
  const first = await createTestApp(example, { env })
  const second = await createTestApp(example, { env, sharesStateWith: first })
  const third = await createTestApp(example, { env })
  assert.deepEqual([await hit(first), await hit(second), await hit(third)], [1, 2, 1])
  assert.deepEqual([first.worker.slot, second.worker.slot, third.worker.slot], [0, 1, 0])
  const heard: unknown[] = []
  for (const app of [first, second, third]) app.shared.onBroadcast('news', (news) => void heard.push(news))
  assert.equal((await first.shared.broadcast('news', 'hello')).acks.length, 2)
  assert.deepEqual(heard, ['hello', 'hello'])
  const signIn = await first.inject({ method: 'POST', url: '/session', payload: { name: 'ada' } })
  assert.equal((await second.inject({ url: '/session', cookies: cookieOf(signIn) })).json().name, 'ada')
  await Promise.all([one, other, third, second].map((app) => app.close()))
  assert.equal(await hit(first), 3)
  await first.close()
})

test('functions under a lock end before a test app is closed, and its own hooks can use the shared state', async () => {
  const told: string[] = []
  let lock = () => {}
  const locked = new Promise<void>((resolve) => (lock = resolve))
  const app = await createTestApp(async (scope: FastifyInstance) => {
    scope.addHook('onClose', async () => void told.push(`closed after ${await scope.shared.hits.read()} hits`))
    scope.get('/work', () =>
      scope.shared.lock('work', 1000, async ({ signal }) => {
        lock()
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
        told.push('aborted')
        return {}
      })
    )
  })
  await app.shared.hits.increment()
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as { port: number }
  const answer = fetch(`http://127.0.0.1:${port}/work`, { headers: { connection: 'close' } })
  await locked
  await app.close()
  assert.equal((await answer).status, 200)
  assert.deepEqual(told, ['aborted', 'closed after 1 hits'])
})

test('what a module exports beside its app counts, and apps of other kinds work', async () => {
  const plugin = async (app: FastifyInstance) => void app.get('/', async () => 'plugin')
  const muster = { paths: { livez: '/alive' } } as const
  const app = await createTestApp({ default: plugin, muster }, { service: { paths: { readyz: '/ready' } } })
  const paths = ['/alive', '/ready', '/livez']
  const codes = await Promise.all(paths.map(async (path) => (await app.inject(path)).statusCode))
  assert.deepEqual(codes, [200, 200, 404])
  await app.close()
  const listener = await createTestApp((req: { url: string }, res: { end(text: string): void }) => res.end(req.url))
  assert.equal((await listener.inject('/any/path')).body, '/any/path')
  await listener.close()
})
