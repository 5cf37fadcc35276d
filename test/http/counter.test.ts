import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { pino } from 'pino'
import { Counter } from '../../src/state/hits.ts'
import { RedisLink } from '../../src/state/redis.ts'
import { RedisProxy } from '../helpers/proxy.ts'
import { startRedis } from '../helpers/redis.ts'
import { until } from '../helpers/until.ts'

/** A counter on a connection of its own, as every worker has one. */
async function openCounter(t: TestContext, url: string, timeoutMs = 1000): Promise<Counter> {
  const link = new RedisLink(url, timeoutMs, pino({ level: 'silent' }))
  t.after(() => link.stop())
  await link.start(async () => {})
  return new Counter(link, 'hits')
}

const times = <T>(count: number, what: () => T): T[] => Array.from({ length: count }, what)
const upTo = (last: number) => Array.from({ length: last }, (_, i) => i + 1)
const sorted = (numbers: number[]) => numbers.toSorted((a, b) => a - b)

test('200 hits at once get 200 different numbers, and the counter is 200', async (t) => {
  const { url, client } = await startRedis(t)
  const counter = await openCounter(t, url)
  const numbers = await Promise.all(times(200, () => counter.increment()))
  assert.deepEqual(sorted(numbers), upTo(200))
  assert.equal(await client.get('muster:hits'), '200')
  assert.equal(await counter.read(), 200)
})

test('numbers are given in the order in which they were asked for', async (t) => {
  const { url } = await startRedis(t)
  const counter = await openCounter(t, url)
  const numbers: number[] = []
  for (let batch = 0; batch < 10; batch++) numbers.push(...(await Promise.all(times(7, () => counter.increment()))))
  assert.deepEqual(numbers, upTo(70))
})

test('workers share one counter: no two of them give the same number', async (t) => {
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

test('somebody else who increments the key in between gets numbers that no request gets', async (t) => {
  const { url, client } = await startRedis(t)
  const workers = [await openCounter(t, url), await openCounter(t, url)]
  const numbers: number[] = []
  for (let round = 0; round < 20; round++) {
    const hits = workers.flatMap((counter) => times(5, () => counter.increment()))
    numbers.push(...(await Promise.all([...hits, client.incr('muster:hits')])))
  }
  assert.deepEqual(sorted(numbers), upTo(20 * 11))
})

test('a lost answer counts nothing twice and loses nothing: no error, no gap', async (t) => {
  const { url, client } = await startRedis(t)
  const proxy = await RedisProxy.start(t, url)
  const counter = await openCounter(t, proxy.url, 5000)
  await counter.increment()
  const cuts = 5
  proxy.loseAnswers(cuts, ':batch:')
  const numbers: number[] = []
  while (proxy.toLose > 0) numbers.push(...(await Promise.all(times(10, () => counter.increment()))))
  numbers.push(await counter.increment())
  assert.deepEqual(sorted([1, ...numbers]), upTo(numbers.length + 1))
  assert.equal(await client.get('muster:hits'), String(numbers.length + 1))
  assert.equal(proxy.accepted, 1 + cuts, 'every lost answer was a cut')
})

test('connections that are cut at any moment count nothing twice and lose nothing', async (t) => {
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
  const counter = await openCounter(t, proxy.url, 200)
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

test('a batch that reaches Redis after later ones did is not counted any more', async (t) => {
  const { url, client } = await startRedis(t)
  const proxy = await RedisProxy.start(t, url)
  const counter = await openCounter(t, proxy.url, 200)
  const numbers = [await counter.increment()]
  proxy.strand()
  const stranded = await Promise.allSettled(times(4, () => counter.increment()))
  assert.deepEqual(new Set(stranded.map((outcome) => outcome.status)), new Set(['rejected']))
  // The connection that hangs is given up; on the next one the count goes on.
  await retryUntilAnswered(counter, numbers)
  assert.equal(await client.get('muster:hits'), '2')
  await proxy.flow()
  assert.equal(await client.get('muster:hits'), '2', 'what came late was counted')
  numbers.push(await counter.increment())
  assert.deepEqual(numbers, [1, 2, 3])
})

test('a Redis that is killed comes back with every hit that was answered, and the count goes on', async (t) => {
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

/** Asks until there is an answer. @returns how many errors came before it */
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
