import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Redis } from 'ioredis'
import { pino } from 'pino'
import { Locks } from '../../src/state/locks/locks.ts'
import { warnOfEviction } from '../../src/state/redis/eviction-warning.ts'
import { RedisConnection } from '../../src/state/redis/redis-connection.ts'
import { Counters } from '../../src/state/shared/counters.ts'
import { startApp } from '../helpers/app.ts'
import { freePort } from '../helpers/http.ts'
import { RedisProxy } from '../helpers/proxy.ts'
import { launchRedis, startRedis } from '../helpers/redis.ts'
import { until } from '../helpers/until.ts'

const IDLE_MS = 30 * 60_000
const MOST_EVICTED = 10_000
const never = () => assert.fail('it ran')

test('sessions that fill Redis evict no counter, no lock and no batch record', async (t) => {
  const redis = await startRedis(t)
  const { client } = redis
  await client.config('SET', 'maxmemory', '8mb')
  const proxy = await RedisProxy.start(t, redis.url)
  const [a, b] = [
    await startApp(t, { redis, url: proxy.url, env: { REDIS_TIMEOUT: '10000' } }),
    await startApp(t, { redis })
  ]
  const { counter, lock } = a.app.shared
  const evicted = async () => Number(/^evicted_keys:(\d+)/m.exec(await client.info('stats'))![1])
  const numbers: number[] = []

  await a.app.shared.once('migration', 60_000, () => {})
  const lost = await lock('crowd', 60_000, async ({ signal }) => {
    for (let sessions = 0; (await evicted()) <= MOST_EVICTED; sessions += 500) {
      proxy.loseAnswers(1, ':batches')
      const crowd = client.pipeline()
      for (let i = sessions; i < sessions + 500; i++) {
        const ttlMs = Math.ceil(IDLE_MS / 3 + (Math.random() * 2 * IDLE_MS) / 3)
        crowd.set(`muster:session:${i}`, JSON.stringify({ cookie: {}, name: 'x'.repeat(200) }), 'PX', ttlMs)
      }
      const [number] = await Promise.all([counter('orders').increment(), crowd.exec()])
      numbers.push(number)
    }
    await assert.rejects(b.app.shared.lock('crowd', 60_000, never), { code: 'LOCK_HELD' })
    return signal.aborted
  })
  assert.equal(lost, false)
  assert.deepEqual(
    numbers,
    numbers.map((_, i) => i + 1),
    'answers were lost all the time, and each hit was counted once'
  )
  assert.equal(await client.get('muster:counter:orders'), String(numbers.length))
  assert.equal(await b.app.shared.once('migration', 60_000, never), false)
})

test('in a Redis Cluster all keys of a name are in one slot, so no script is refused', async (t) => {
  const port = await freePort()
  const { url, client } = await launchRedis(t, { 'cluster-enabled': 'yes', bind: '127.0.0.1', port: `${port}` })
  await client.cluster('ADDSLOTS', ...Array(16384).keys())
  await until(async () => /cluster_state:ok/.test(String(await client.cluster('INFO'))), 'a cluster')
  await assert.rejects(client.eval('return 1', 2, 'a', 'b'), /CROSSSLOT/)

  const log = pino({ level: 'silent' })
  const connection = new RedisConnection(url, 5000, log)
  const draining = new AbortController()
  const locks = new Locks({ connection, log, draining: draining.signal })
  t.after(() => connection.stop())
  await connection.start(async () => {})
  const counters = new Counters(connection)
  assert.deepEqual([await counters.get('hits').increment(), await counters.get('orders').increment()], [1, 1])
  assert.equal(await locks.lock('job', 1000, () => 'held'), 'held')
  assert.equal(await locks.once('job', 1000, () => {}), true)
  locks.open()
  await new Promise((resolve) => locks.every('job', 10, resolve))
  draining.abort()
  await locks.ended(10_000)
})

test('a Redis that may evict counters is logged; one that hides its policy is not', async (t) => {
  const { client } = await startRedis(t)
  const warnings: unknown[] = []
  const log = pino({ level: 'warn' }, { write: (line) => void warnings.push(JSON.parse(line)) })
  for (const policy of ['noeviction', 'volatile-ttl', 'volatile-lru']) {
    await client.config('SET', 'maxmemory-policy', policy)
    await warnOfEviction(client, log)
  }
  assert.deepEqual(warnings, [])
  await client.config('SET', 'maxmemory-policy', 'allkeys-lru')
  await warnOfEviction(client, log)
  assert.equal(warnings.length, 1)
  assert.match(JSON.stringify(warnings), /"policy":"allkeys-lru".*may evict counters/)

  await client.acl('SETUSER', 'limited', 'on', '>secret', '~*', '&*', '+@all', '-info', '-config')
  const limited = new Redis({
    path: client.options.path!,
    username: 'limited',
    password: 'secret',
    enableReadyCheck: false
  })
  t.after(() => limited.disconnect())
  await assert.rejects(limited.info('memory'), /NOPERM/)
  await warnOfEviction(limited, log)
  assert.equal(warnings.length, 1)
})
