import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { RedisConnection } from '../../src/state/redis/redis-connection.ts'
import { type Counter, Counters } from '../../src/state/shared/counters.ts'
import { startApp } from '../helpers/app.ts'
import { RedisProxy } from '../helpers/proxy.ts'
import { startRedis } from '../helpers/redis.ts'
import { until } from '../helpers/until.ts'

/** A counter with its own connection, as in every worker. */
async function openCounter(t: TestContext, url: string, timeoutMs = 1000): Promise<Counter> {
  const connection = new RedisConnection(url, timeoutMs, pino({ level: 'silent' }))
  t.after(() => connection.stop())
  await connection.start(async () => {})
  return new Counters(connection).get('hits')
}

const times = <T>(count: number, what: () => T): T[] => Array.from({ length: count }, what)
const upTo = (last: number) => Array.from({ length: last }, (_, i) => i + 1)
const sorted = (numbers: number[]) => numbers.toSorted((a, b) => a - b)

test('200 concurrent hits get 200 different numbers, and the counter is 200', async (t) => {
  const { url, client } = await startRedis(t)
  const counter = await openCounter(t, url)
  const numbers = await Promise.all(times(200, () => counter.increment()))
  assert.deepEqual(sorted(numbers), upTo(200))
  assert.equal(await client.get('muster:hits'), '200')
  assert.equal(await counter.read(), 200)
})

test('numbers are assigned in the order of the calls', async (t) => {
  const { url } = await startRedis(t)
  const counter = await openCounter(t, url)
  const numbers: number[] = []
  for (let batch = 0; batch < 10; batch++) numbers.push(...(await Promise.all(times(7, () => counter.increment()))))
  assert.deepEqual(numbers, upTo(70))
})

test('workers share one counter: no number is assigned twice', async (t) => {
  const { url, client } = await startRedis(t)
  const workers = await Promise.all(times(4, () => openCounter(t, url)))
  const numbers = await Promise.all(
    workers.flatMap((counter) =>
      times(50, async () => {
        await new Promise(setImmediate)
        return counter.increment()
      })
    )
  )
  assert.deepEqual(sorted(numbers), upTo(200))
  assert.equal(await client.get('muster:hits'), '200')
})

test('callers that increment again right after an answer share one batch', async (t) => {
  const { url } = await startRedis(t)
  const counter = await openCounter(t, url)
  const sizes: number[] = []
  counter.onBatch = (size) => sizes.push(size)
  const [clients, rounds] = [32, 30]
  await Promise.all(
    times(clients, async () => {
      // Starts at different times; then each client sends one request after the other, as HTTP clients do.
      for (let turns = Math.random() * 5; turns > 0; turns--) await new Promise(setImmediate)
      for (let round = 0; round < rounds; round++) {
        await counter.increment()
        await new Promise(setImmediate)
      }
    })
  )
  const most = (clients * rounds * 40) / 1000
  assert.ok(sizes.length <= most, `${sizes.length} batches for ${clients * rounds} hits: ${sizes}`)
})

test('another client that increments the key gets numbers that no request gets', async (t) => {
  const { url, client } = await startRedis(t)
  const workers = [await openCounter(t, url), await openCounter(t, url)]
  const numbers: number[] = []
  for (let round = 0; round < 20; round++) {
    const hits = workers.flatMap((counter) => times(5, () => counter.increment()))
    numbers.push(...(await Promise.all([...hits, client.incr('muster:hits')])))
  }
  assert.deepEqual(sorted(numbers), upTo(20 * 11))
})

test('a lost answer counts nothing twice and loses nothing: no error and no gap', async (t) => {
  const { url, client } = await startRedis(t)
  const proxy = await RedisProxy.start(t, url)
  const counter = await openCounter(t, proxy.url, 5000)
  await counter.increment()
  const cuts = 5
  proxy.loseAnswers(cuts, ':batches')
  const numbers: number[] = []
  while (proxy.toLose > 0) numbers.push(...(await Promise.all(times(10, () => counter.increment()))))
  numbers.push(await counter.increment())
  assert.deepEqual(sorted([1, ...numbers]), upTo(numbers.length + 1))
  assert.equal(await client.get('muster:hits'), String(numbers.length + 1))
  assert.equal(proxy.accepted, 1 + cuts, 'every lost answer was a cut')
})

test('connections cut at any moment count nothing twice and lose nothing', async (t) => {
  const { url, client } = await startRedis(t)
  const proxy = await RedisProxy.start(t, url)
  const workers = [await openCounter(t, proxy.url, 10_000), await openCounter(t, proxy.url, 10_000)]
  const numbers: number[] = []
  for (let round = 0; round < 20; round++) {
    const hits = workers.flatMap((counter) => times(20, () => counter.increment()))
    setImmediate(() => proxy.cut())
    numbers.push(...(await Promise.all(hits)))
  }
  assert.deepEqual(sorted(numbers), upTo(20 * 40))
  assert.equal(await client.get('muster:hits'), String(20 * 40))
})

test('a hit that is answered with an error is counted at most once', async (t) => {
  const { url, client } = await startRedis(t)
  const proxy = await RedisProxy.start(t, url)
  const counter = await openCounter(t, proxy.url, 1000)
  const numbers: number[] = []
  let errors = 0
  for (let round = 0; round < 5; round++) {
    proxy.hang()
    const outcomes = await Promise.allSettled(times(4, () => counter.increment()))
    errors += outcomes.filter((outcome) => outcome.status === 'rejected').length
    await proxy.flow()
    errors += await retryUntilAnswered(counter, numbers)
  }
  assert.ok(errors >= 20, `${errors} errors`)
  assert.deepEqual(numbers, [...new Set(numbers)], 'a number was given twice')
  const counted = Number(await client.get('muster:hits'))
  assert.ok(counted >= numbers.length && counted <= numbers.length + errors, `${counted} of ${numbers.length + errors}`)
})

test('a batch that reaches Redis after later batches is not counted', async (t) => {
  const { url, client } = await startRedis(t)
  const proxy = await RedisProxy.start(t, url)
  const counter = await openCounter(t, proxy.url, 1000)
  const numbers = [await counter.increment()]
  proxy.strand()
  const stranded = await Promise.allSettled(times(4, () => counter.increment()))
  assert.deepEqual(new Set(stranded.map((outcome) => outcome.status)), new Set(['rejected']))
  // The hanging connection is closed, and counting continues on the next one.
  await retryUntilAnswered(counter, numbers)
  assert.equal(await client.get('muster:hits'), '2')
  await proxy.flow()
  assert.equal(await client.get('muster:hits'), '2', 'what came late was counted')
  numbers.push(await counter.increment())
  assert.deepEqual(numbers, [1, 2, 3])
})

test('a killed Redis comes back with every answered hit, and counting continues', async (t) => {
  const { url, client, pid } = await startRedis(t)
  const counter = await openCounter(t, url, 10_000)
  const numbers = await Promise.all(times(100, () => counter.increment()))
  for (let kill = 0; kill < 2; kill++) {
    const killed = pid()
    const hits = times(100, () => counter.increment())
    process.kill(killed, 'SIGKILL')
    numbers.push(...(await Promise.all(hits)))
    await until(() => pid() !== killed, 'another Redis')
  }
  assert.deepEqual(sorted(numbers), upTo(300))
  await until(() => client.get('muster:hits').catch(() => null), 'an answer')
  assert.equal(await client.get('muster:hits'), '300')
})

test('every request has the same timeout, also one that joins a batch late', async (t) => {
  const { url, client } = await startRedis(t)
  const proxy = await RedisProxy.start(t, url)
  const counter = await openCounter(t, proxy.url, 2000)
  await counter.increment()
  proxy.hang()
  const early = counter.increment()
  await new Promise(setImmediate)
  const behind = counter.increment() // opens the next batch
  await sleep(1500)
  const late = counter.increment() // and this is in it
  await assert.rejects(early, { statusCode: 503, code: 'STATE_UNAVAILABLE', retryAfter: 1 })
  await assert.rejects(behind)
  await proxy.flow()
  const number = await late
  assert.equal(number, Number(await client.get('muster:hits')))
  assert.ok(number === 2 || number === 3, `${number}: the early one may be counted, the one behind it was never sent`)
})

test('10,000 hits may wait in a worker, over all counters; further ones are refused at once', async (t) => {
  const redis = await startRedis(t)
  const proxy = await RedisProxy.start(t, redis.url)
  const { app } = await startApp(t, { redis, url: proxy.url, env: { REDIS_TIMEOUT: '20000' } })
  const { hits } = app.shared
  const orders = app.shared.counter('orders')
  await Promise.all([hits.increment(), orders.increment()])
  proxy.hang()
  const waiting = times(5000, () => [hits.increment(), orders.increment()]).flat()
  for (const counter of [hits, orders]) {
    await assert.rejects(counter.increment(), { statusCode: 503, code: 'TOO_MANY_WAITING', retryAfter: 1 })
  }
  const refused = await app.inject({ method: 'POST', url: '/hits' })
  assert.equal(refused.statusCode, 503)
  assert.equal(refused.headers['retry-after'], '1')
  await proxy.flow()
  await Promise.all(waiting)
  assert.deepEqual([await hits.increment(), await orders.increment()], [5002, 5002])
})

test("a user's own counters are as exact, by their names, and plain integers in Redis", async (t) => {
  const redis = await startRedis(t)
  const [a, b] = [(await startApp(t, { redis })).app.shared, (await startApp(t, { redis })).app.shared]
  assert.equal(a.counter('orders'), a.counter('orders'))
  assert.notEqual(a.counter('orders'), a.counter('orders-2'))
  assert.equal(a.counter('hits'), a.hits)
  const numbers = await Promise.all(
    times(50, () => [a, b].map((shared) => shared.counter('orders').increment())).flat()
  )
  assert.deepEqual(sorted(numbers), upTo(100))
  assert.equal(await redis.client.get('muster:counter:orders'), '100')
  assert.equal(await a.counter('orders').read(), 100)
  assert.equal(await b.hits.read(), 0)
  for (const name of ['', 'Orders', 'a b', 'a:b', 'a{b}', 'ü', 'x'.repeat(65), 7, undefined]) {
    assert.throws(
      () => a.counter(name as string),
      /^TypeError: counter: the name .+ is not valid: use 1 to 64 characters of a-z/
    )
  }
})

test('a full Redis that evicts all keys with a TTL does not make a batch count twice', async (t) => {
  const { url, client } = await startRedis(t)
  const proxy = await RedisProxy.start(t, url)
  const counter = await openCounter(t, proxy.url, 20_000)
  assert.equal(await counter.increment(), 1)
  proxy.mute()
  const number = counter.increment()
  await until(async () => (await client.get('muster:hits')) === '2', 'Redis has counted it')
  // The answer is lost. Before the batch is sent again, keys without a TTL fill Redis, which evicts all other keys.
  await client.config('SET', 'maxmemory', '8mb')
  const isFull = async (): Promise<boolean> => {
    const fill = Array.from({ length: 100 }, () => client.set(`other:${Math.random()}`, 'x'.repeat(10_000)))
    return (await Promise.allSettled(fill)).some(({ status }) => status === 'rejected')
  }
  await until(isFull, 'Redis is full, and nothing is left that it may evict', 60_000)
  await client.config('SET', 'maxmemory', '0')
  proxy.unmute()
  proxy.cut()
  assert.equal(await number, 2)
  assert.equal(await client.get('muster:hits'), '2')
})

test('batch records have no TTL, and those of workers that ended long ago are removed', async (t) => {
  const { url, client } = await startRedis(t)
  const records = '{muster:hits}:batches'
  const [seconds] = await client.time()
  const hoursAgo = (hours: number) => `7:7:${Number(seconds) - hours * 3600}`
  await client.hset(records, { gone: hoursAgo(25), recent: hoursAgo(23) })
  const counter = await openCounter(t, url)
  await counter.increment()
  const fields = await client.hkeys(records)
  assert.equal(fields.length, 2, `${fields}`)
  assert.ok(fields.includes('recent') && !fields.includes('gone'), `${fields}`)
  assert.equal(await client.pttl(records), -1)
})

test('a counter stops before 2^53, where numbers would repeat', async (t) => {
  const redis = await startRedis(t)
  const last = 9e15
  await redis.client.set('muster:hits', last - 3)
  const { app } = await startApp(t, { redis })
  const { hits } = app.shared
  const numbers = await Promise.all(times(3, () => hits.increment()))
  assert.deepEqual(numbers, [last - 2, last - 1, last])
  const refused = { statusCode: 500, code: 'COUNTER_EXHAUSTED', message: /has reached 9,000,000,000,000,000/ }
  for (const outcome of times(2, () => hits.increment())) await assert.rejects(outcome, refused)
  const response = await app.inject({ method: 'POST', url: '/hits' })
  assert.deepEqual([response.statusCode, response.json().code], [500, 'COUNTER_EXHAUSTED'])
  assert.equal(await redis.client.get('muster:hits'), String(last), 'nothing was counted')
  assert.equal(await hits.read(), last)
  await redis.client.incr('muster:hits')
  await assert.rejects(hits.read(), refused)
  await redis.client.set('muster:hits', 0)
  assert.equal(await hits.increment(), 1)
})

/** Repeats a request until it succeeds. @returns the number of errors before that */
async function retryUntilAnswered(counter: Counter, numbers: number[]): Promise<number> {
  for (let errors = 0; ; errors++) {
    try {
      numbers.push(await counter.increment())
      return errors
    } catch {
      await new Promise(setImmediate)
    }
  }
}
