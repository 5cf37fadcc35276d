import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { PeriodicRun } from '../../src/state/locks/lease-runs.ts'
import { latch, never, setClockBack, startWorkers, storedLease, times } from '../helpers/locks.ts'
import { RedisProxy } from '../helpers/proxy.ts'
import { until } from '../helpers/until.ts'

const HOUR_MS = 3_600_000
const HELD = { code: 'LOCK_HELD' }

describe('leases when the clock of Redis is set back by an hour', () => {
  test('a lock of a crashed worker is free after its ttl', async (t) => {
    const { url, client, open } = await startWorkers(t)
    const proxy = await RedisProxy.start(t, url)
    const [a, b] = [await open(proxy.url), await open()]
    const { fn, begun, end } = latch()
    const first = a.locks.lock('job', 1000, fn)
    await begun
    await proxy.refuse()
    await setClockBack(client, HOUR_MS)
    await assert.rejects(b.locks.lock('job', 1000, never), HELD)
    assert.equal(await b.locks.lock('job', 1000, () => 'free', { waitMs: 60_000 }), 'free')
    end('late')
    await first
  })

  test('a held lock stays with its holder', async (t) => {
    const { client, open } = await startWorkers(t)
    const [a, b] = [await open(), await open()]
    const aborted = await a.locks.lock('job', 1000, async ({ signal }) => {
      await setClockBack(client, HOUR_MS)
      await assert.rejects(b.locks.lock('job', 1000, never, { waitMs: 2500 }), HELD)
      return signal.aborted
    })
    assert.equal(aborted, false)
  })

  test('once() may run again after its ttl', async (t) => {
    const { client, open } = await startWorkers(t)
    const { locks } = await open()
    assert.equal(await locks.once('report', 1000, () => {}), true)
    await setClockBack(client, HOUR_MS)
    assert.equal(await locks.once('report', 1000, never), false)
    await until(() => locks.once('report', 1000, () => {}), 'a second run')
  })

  test('every() continues within a period', async (t) => {
    const { client, open } = await startWorkers(t)
    const { locks } = await open()
    const runs: PeriodicRun[] = []
    locks.every('tick', 1500, (run) => runs.push(run))
    await until(() => runs.length > 0, 'a run')
    await until(async () => (await storedLease(client, 'muster:every:tick'))?.token === '-', 'its end')
    await setClockBack(client, HOUR_MS)
    const before = runs.length
    await until(() => runs.length > before + 1, 'two further runs')
    assert.ok(runs.at(-1)!.fence > runs[0]!.fence)
  })
})

test('a clock that is a few ms behind, as after a failover, makes no period run twice', async (t) => {
  const { client, open } = await startWorkers(t)
  const { locks } = await open()
  const periods: number[] = []
  locks.every('tick', 1500, ({ period }) => periods.push(period))
  for (let i = 0; i < 3; i++) {
    const before = periods.length
    await until(() => periods.length > before, 'a run')
    await until(async () => (await storedLease(client, 'muster:every:tick'))?.token === '-', 'its end')
    await setClockBack(client, 5)
  }
  assert.equal(new Set(periods.map((period) => Math.round(period / 1500))).size, periods.length)
})

test('fences never decrease, even when they are ahead of the clock and all leases have expired', async (t) => {
  const { client, open } = await startWorkers(t)
  const { locks } = await open()
  const fences: number[] = []
  const take = (name: string) => locks.lock(name, 1000, ({ fence }) => fences.push(fence))
  await take('job')
  await setClockBack(client, HOUR_MS)
  await take('job')
  assert.equal(await storedLease(client, 'muster:lock:job'), undefined, 'nothing of the lease itself is kept')
  await take('job')
  await take('another')
  await locks.once('report', 100, ({ fence }) => fences.push(fence))
  await take('job')
  for (const [i, fence] of fences.slice(1).entries()) assert.ok(fence > fences[i]!, fences.join())
  assert.ok(fences.at(-1)! / 1000 > Date.now() + HOUR_MS / 2)
})

test('a Redis full of keys without a TTL evicts no lease', async (t) => {
  const { client, open } = await startWorkers(t)
  const [a, b] = [await open(), await open()]
  await client.config('SET', 'maxmemory', '4mb')
  assert.deepEqual(await client.config('GET', 'maxmemory-policy'), ['maxmemory-policy', 'volatile-ttl'])
  await client.set('session', 'x', 'PX', 3 * HOUR_MS)
  await a.locks.once('migrate', 24 * HOUR_MS, () => {})
  const aborted = await a.locks.lock('job', 60_000, async ({ signal }) => {
    const fill = async () => {
      for (let i = 0; ; i++) await client.set(`filler:${i}`, 'x'.repeat(10_000))
    }
    await assert.rejects(fill(), /OOM/)
    assert.equal(await client.exists('session'), 0, 'what has a TTL was evicted')
    await assert.rejects(b.locks.lock('job', 60_000, never), HELD)
    assert.equal(await b.locks.once('migrate', 24 * HOUR_MS, never), false)
    await client.config('SET', 'maxmemory', '0')
    return signal.aborted
  })
  assert.equal(aborted, false)
})

test('expired leases and records are removed over time', async (t) => {
  const { client, open } = await startWorkers(t)
  const { locks } = await open()
  await Promise.all(times(200, (i) => locks.once(`order-${i}`, 2000, () => {})))
  await until(async () => {
    await locks.lock('job', 1000, () => {})
    return (await client.hlen('muster:leases')) === 1
  }, 'a hash with nothing but the highest fence in it')
  assert.equal(await client.zcard('{muster:leases}:ends'), 0)
})
