import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { type AppOptions, startApp as startAnyApp } from '../helpers/app.ts'
import { RedisProxy } from '../helpers/proxy.ts'
import { startRedis } from '../helpers/redis.ts'
import { until } from '../helpers/until.ts'

/** A long REDIS_TIMEOUT: on a busy machine an answer may take longer than the default of one second. */
const startApp = (t: TestContext, options: AppOptions = {}) =>
  startAnyApp(t, { env: { REDIS_TIMEOUT: '30000' }, ...options })

/** Two hosts with one worker each on one Redis, and the messages that each received. */
async function startHosts(t: TestContext) {
  const redis = await startRedis(t)
  const heard: [slot: number, payload: unknown][] = []
  const start = async (slot: number) => {
    const { shared } = (await startApp(t, { redis, slot })).app
    shared.onBroadcast('news', (payload) => heard.push([slot, payload]))
    return shared
  }
  return { redis, heard, here: await start(0), there: await start(1) }
}

const TO_ALL = { scope: 'all', deadlineMs: 60_000 } as const
const worker = (slot: number) => ({ host: 'test-host', slot, pid: process.pid })

test('a broadcast to this host reaches all its workers, the sender included, and no other host', async (t) => {
  const { here, heard } = await startHosts(t)
  assert.deepEqual(await here.broadcast('news', { n: 1 }), { acks: [worker(0)], missing: [], unanswered: 0 })
  assert.deepEqual(heard, [[0, { n: 1 }]])
})

test('a broadcast to all hosts reaches each host once and reports which workers received it', async (t) => {
  const { here, there, heard } = await startHosts(t)
  const began = performance.now()
  for (const [sender, n] of [
    [here, 1],
    [there, 2]
  ] as const) {
    const { acks, missing, unanswered } = await sender.broadcast('news', n, TO_ALL)
    assert.deepEqual(
      acks.toSorted((a, b) => a.slot - b.slot),
      [worker(0), worker(1)]
    )
    assert.deepEqual({ missing, unanswered }, { missing: [], unanswered: 0 })
  }
  assert.ok(performance.now() - began < 30_000, 'it does not wait when all workers have answered')
  assert.deepEqual(heard.sort(), [
    [0, 1],
    [0, 2],
    [1, 1],
    [1, 2]
  ])
})

test('a topic without listeners is acknowledged, and a listener can be removed', async (t) => {
  const { here, heard } = await startHosts(t)
  const { acks } = await here.broadcast('silence', null, TO_ALL)
  assert.equal(acks.length, 2)
  const end = here.onBroadcast('news', () => heard.push([9, 9]))
  end()
  await here.broadcast('news')
  assert.deepEqual(heard, [[0, null]])
})

test('a worker whose handler fails is missing, with its error; a handler that never ends counts as missing', async (t) => {
  const { here, there } = await startHosts(t)
  for (const shared of [here, there]) {
    shared.onBroadcast('fail', async () => {
      throw new Error('not today')
    })
  }
  const failed = await here.broadcast('fail', null, TO_ALL)
  const why = 'not today'
  assert.deepEqual(failed, {
    acks: [],
    missing: [
      { ...worker(0), why },
      { ...worker(1), why }
    ],
    unanswered: 0
  })
  there.onBroadcast('hang', () => new Promise(() => {}))
  const hung = await here.broadcast('hang', null, { scope: 'all', deadlineMs: 300 })
  assert.deepEqual(hung, { acks: [worker(0)], missing: [], unanswered: 1 })
})

describe('messages that cannot be sent are refused', () => {
  const circle: { self?: unknown } = {}
  circle.self = circle
  const wrong: [args: unknown[], message: RegExp][] = [
    [[''], /topic of a broadcast must be text/],
    [[undefined], /topic of a broadcast must be text/],
    [['news', circle], /cannot be written as JSON/],
    [['news', () => {}], /cannot be written as JSON/],
    [['news', 'x'.repeat(64 * 1024)], /has 65538 bytes of JSON: at most 65536 are allowed/],
    [['news', 1, { scope: 'world' }], /scope/],
    [['news', 1, { deadlineMs: 0 }], /deadline/],
    [['news', 1, { deadlineMs: 'soon' }], /deadline/]
  ]
  for (const [args, message] of wrong) {
    test(String(message), async (t) => {
      const { here, heard } = await startHosts(t)
      await assert.rejects(here.broadcast(...(args as Parameters<typeof here.broadcast>)), { statusCode: 400, message })
      assert.deepEqual(heard, [])
    })
  }
})

test('garbage on the Redis channels is ignored', async (t) => {
  const { here, redis } = await startHosts(t)
  for (const garbage of ['', 'null', '7', '{', '{"id":5}', '{"id":"1","from":"x","topic":"news","payload":"{"}']) {
    for (const name of ['broadcast', 'settings']) {
      const reached = await redis.client.publish(`muster:${name}@0`, garbage)
      assert.equal(reached, 2, 'a worker did not hear it')
    }
  }
  assert.equal((await here.broadcast('news', 1, TO_ALL)).acks.length, 2)
})

test('while Redis is away broadcasts reach this host but no other', async (t) => {
  const redis = await startRedis(t)
  const proxy = await RedisProxy.start(t, redis.url)
  const { app, connection } = await startApp(t, { redis, url: proxy.url, env: { REDIS_TIMEOUT: '200' } })
  await proxy.refuse()
  await until(() => !connection.up, 'Redis is away')
  await assert.rejects(app.shared.broadcast('news', 1, TO_ALL), { statusCode: 503 })
  assert.equal((await app.shared.broadcast('news', 1)).acks.length, 1)
})

test('a cache is cleared in every worker of every host', async (t) => {
  const { here, there } = await startHosts(t)
  const caches = [here, there].map((shared) => shared.cache<number>('numbers', { max: 10, ttlMs: 60_000 }))
  for (const cache of caches) await cache.get('a', () => 1)
  await until(async () => (await here.clearCaches()).acks.length === 2, 'both have cleared')
  for (const cache of caches) assert.equal(cache.size, 0)
  assert.throws(() => here.cache('numbers', { max: 1, ttlMs: 1 }), /already/)
})

test('GET /digest/:text is computed once and cached until caches are cleared', async (t) => {
  const { app } = await startApp(t, { slot: 4 })
  const get = async () => {
    const response = await app.inject('/digest/ada')
    assert.equal(response.statusCode, 200)
    return response.json() as { digest: string; computedAt: string; slot: number }
  }
  const [first, same] = await Promise.all([get(), get()])
  assert.match(first.digest, /^[0-9a-f]{64}$/)
  assert.equal(first.slot, 4)
  assert.deepEqual(same, first)
  await app.shared.clearCaches()
  const anew = await get()
  assert.equal(anew.digest, first.digest)
  assert.notEqual(anew.computedAt, first.computedAt)
})
