import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { LOST, latch, never, startWorkers, times } from '../helpers/locks.ts'
import { RedisProxy } from '../helpers/proxy.ts'
import { until } from '../helpers/until.ts'

const HELD = { statusCode: 409, code: 'LOCK_HELD', retryAfter: 1 }

describe('lock()', () => {
  test('admits one holder at a time over all workers: no read-modify-write is lost', async (t) => {
    const { client, open } = await startWorkers(t)
    const workers = await Promise.all(times(3, () => open()))
    const fences: number[] = []
    const deposit = async ({ fence }: { fence: number }) => {
      const balance = Number((await client.get('balance')) ?? 0)
      fences.push(fence)
      await sleep(2)
      await client.set('balance', balance + 1)
    }
    const deposits = workers.flatMap(({ locks }) =>
      times(10, () => locks.lock('till', 5000, deposit, { waitMs: 60_000 }))
    )
    await Promise.all(deposits)
    assert.equal(await client.get('balance'), '30')
    assert.deepEqual(
      fences,
      [...new Set(fences)].sort((a, b) => a - b),
      'every fence is higher than those before'
    )
  })

  test('is refused while it is held, and free as soon as the work ends, successfully or not', async (t) => {
    const { open } = await startWorkers(t)
    const [a, b] = [await open(), await open()]
    const { fn, begun, end } = latch()
    const first = a.locks.lock('job', 5000, fn)
    await begun
    await assert.rejects(b.locks.lock('job', 5000, never), HELD)
    await assert.rejects(b.locks.lock('job', 5000, never, { waitMs: 60 }), HELD)
    assert.equal(await b.locks.lock('another', 5000, () => 'free'), 'free')
    end('done')
    assert.equal(await first, 'done')
    await assert.rejects(
      b.locks.lock('job', 5000, () => {
        throw new Error('broken')
      }),
      /broken/
    )
    assert.equal(await a.locks.lock('job', 5000, async () => 'free'), 'free')
  })

  test('is renewed: work may take much longer than the ttl', async (t) => {
    const { open } = await startWorkers(t)
    const [a, b] = [await open(), await open()]
    const aborted = await a.locks.lock('job', 1000, async ({ signal }) => {
      for (let i = 0; i < 5; i++) {
        await sleep(500)
        await assert.rejects(b.locks.lock('job', 1000, never), HELD)
      }
      return signal.aborted
    })
    assert.equal(aborted, false)
  })

  test('is lost when Redis is away for too long: the signal is aborted before another caller gets the lock', async (t) => {
    const { url, open } = await startWorkers(t)
    const proxy = await RedisProxy.start(t, url)
    const [a, b] = [await open(proxy.url), await open()]
    const lost = a.locks.lock('job', 1000, async ({ fence, signal }) => {
      await proxy.refuse()
      const next = b.locks.lock('job', 1000, (held) => ({ aborted: signal.aborted, fence: held.fence }), {
        waitMs: 60_000
      })
      await once(signal, 'abort')
      assert.throws(() => signal.throwIfAborted(), LOST)
      return { fence, next: await next }
    })
    const { fence, next } = await lost
    assert.equal(next.aborted, true)
    assert.ok(next.fence > fence)
  })

  test('is lost when its key is deleted: the next renewal notices', async (t) => {
    const { client, open } = await startWorkers(t)
    const { locks } = await open()
    await locks.lock('job', 1000, async ({ signal }) => {
      await client.hdel('muster:leases', 'muster:lock:job')
      await once(signal, 'abort')
      assert.throws(() => signal.throwIfAborted(), LOST)
    })
  })

  test('fences keep growing even after Redis has lost all data', async (t) => {
    const { client, open } = await startWorkers(t)
    const { locks } = await open()
    const fence = () => locks.lock('job', 1000, (held) => held.fence)
    const before = await fence()
    await client.flushall()
    await until(async () => (await fence()) > before, 'a higher fence')
  })

  test('lost answers change nothing: the same lock is requested again', async (t) => {
    const { url, client, open } = await startWorkers(t)
    const proxy = await RedisProxy.start(t, url)
    const { locks } = await open(proxy.url)
    await locks.lock('job', 5000, () => {})
    const ahead = Date.now() * 1000 + 3_600_000_000
    await client.hset('muster:leases', '@fence', ahead)
    for (let lost = 1; lost <= 5; lost++) {
      proxy.loseAnswers(1, 'muster:lock:job')
      const { fence } = await locks.lock('job', 5000, (held) => ({ fence: held.fence }))
      assert.equal(proxy.toLose, 0)
      assert.equal(fence, ahead + lost, 'it was taken once')
    }
    proxy.loseAnswers(0, '')
    assert.equal(await locks.lock('job', 5000, () => 'free'), 'free')
  })

  test('aborts the signal when the worker drains, and is held until the work ends', async (t) => {
    const { open } = await startWorkers(t)
    const [a, b] = [await open(), await open()]
    const { fn, begun, end } = latch<{ signal: AbortSignal }>()
    const job = a.locks.lock('job', 1000, fn)
    const { signal } = await begun
    a.draining.abort(new Error('leaving'))
    assert.throws(() => signal.throwIfAborted(), /leaving/)
    const ended = a.locks.ended(60_000)
    await sleep(1500)
    await assert.rejects(b.locks.lock('job', 1000, never), HELD)
    end('done')
    await ended
    assert.equal(await job, 'done')
    assert.equal(await b.locks.lock('job', 1000, () => 'free'), 'free')
  })

  test('has an aborted signal from the start when the worker is already draining', async (t) => {
    const { open } = await startWorkers(t)
    const { locks, draining } = await open()
    draining.abort(new Error('leaving'))
    const check = ({ signal }: { signal: AbortSignal }) => assert.throws(() => signal.throwIfAborted(), /leaving/)
    await locks.lock('job', 1000, check)
    assert.equal(await locks.once('job', 1000, check), true)
  })

  test('a drain does not wait for work beyond its deadline', async (t) => {
    const { open } = await startWorkers(t)
    const { locks, draining } = await open()
    const { fn, begun, end } = latch()
    const job = locks.lock('job', 1000, fn)
    await begun
    draining.abort()
    await locks.ended(50)
    end('at last')
    await job
  })

  test('gets 503 in time while Redis is away', async (t) => {
    const { url, open } = await startWorkers(t)
    const proxy = await RedisProxy.start(t, url)
    const { locks } = await open(proxy.url, 300)
    proxy.hang()
    const unavailable = { statusCode: 503, code: 'STATE_UNAVAILABLE', retryAfter: 1 }
    await assert.rejects(locks.lock('job', 1000, never), unavailable)
    await assert.rejects(locks.once('job', 1000, never), unavailable)
  })

  test('rejects invalid names and times', async (t) => {
    const { open } = await startWorkers(t)
    const { locks } = await open()
    await assert.rejects(
      locks.lock('a b', 1000, never),
      /^TypeError: lock: the name "a b" is not valid: use 1 to 64 characters/
    )
    await assert.rejects(locks.once('{a}', 1000, never), /^TypeError: once: the name ".+" is not valid/)
    assert.throws(() => locks.every('', 1000, never), /^TypeError: every: the name "" is not valid/)
    await assert.rejects(locks.lock('a', 99, never), /^RangeError: lock: ttlMs must be a whole number of milliseconds/)
    await assert.rejects(locks.lock('a', 1000, never, { waitMs: Number.NaN }), /^RangeError: lock: waitMs/)
    await assert.rejects(locks.once('a', 1000.5, never), /^RangeError: once: ttlMs/)
    await assert.rejects(locks.once('a', 1000, never, { leaseMs: 99 }), /^RangeError: once: leaseMs/)
    assert.throws(() => locks.every('a', 9, never), /^RangeError: every: periodMs/)
    assert.throws(() => locks.every('a', 1000, never, { ttlMs: -1 }), /^RangeError: every: ttlMs/)
  })
})
