import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { gate, latch, never, startWorkers, storedLease } from '../helpers/locks.ts'
import { RedisProxy } from '../helpers/proxy.ts'
import { until } from '../helpers/until.ts'
import '../helpers/takes-long.ts'

const DAY_MS = 86_400_000
const UNAVAILABLE = { statusCode: 503, code: 'STATE_UNAVAILABLE' }
const UNACKNOWLEDGED = /Redis has not acknowledged the end of a lease/

/** Two workers. The first is connected through a proxy, and its commands time out after `timeoutMs`. */
async function startPair(t: Parameters<typeof startWorkers>[0], timeoutMs?: number) {
  const { url, client, open } = await startWorkers(t)
  const proxy = await RedisProxy.start(t, url)
  return { client, proxy, a: await open(proxy.url, timeoutMs), b: await open() }
}

describe('once() under faults', () => {
  test('when fn fails while Redis is away, another worker may try as soon as Redis is back', async (t) => {
    const { proxy, a, b } = await startPair(t, 1000)
    const failing = a.locks.once('migrate', DAY_MS, async () => {
      await proxy.refuse()
      throw new Error('no Redis for the migration')
    })
    await assert.rejects(failing, /no Redis for the migration/)
    assert.equal(await b.locks.once('migrate', DAY_MS, never), false)
    await proxy.accept()
    await until(() => b.locks.once('migrate', DAY_MS, () => {}), 'another run')
    assert.equal(a.lines.filter(({ msg }) => UNACKNOWLEDGED.test(msg)).length, 1)
    await until(
      () => a.lines.some(({ msg }) => /all ended leases acknowledged or expired/.test(msg)),
      'the line of its end'
    )
  })

  test('a claim that Redis executes after the caller got 503 is free again within the lease', async (t) => {
    const { proxy, a, b } = await startPair(t, 300)
    await a.locks.lock('job', 1000, () => {}) // Redis knows the script from now on
    proxy.hang()
    const refused: Promise<void>[] = []
    while (!a.connection.away) {
      const call = a.locks.once(`migrate-${refused.length}`, DAY_MS, never, { leaseMs: 1000 })
      refused.push(assert.rejects(call, UNAVAILABLE))
      await sleep(20)
    }
    await Promise.all(refused)
    await proxy.flow()
    const ran = (_: unknown, i: number) => until(() => b.locks.once(`migrate-${i}`, DAY_MS, () => {}), `migrate-${i}`)
    await Promise.all(refused.map(ran))
  })

  test('callers that get 503 while the circuit is open leave nothing to retry', async (t) => {
    const { proxy, a } = await startPair(t, 1000)
    await proxy.refuse()
    await until(() => a.connection.away, 'Redis is away')
    for (let i = 0; i < 100; i++) await assert.rejects(a.locks.once('migrate', DAY_MS, never), UNAVAILABLE)
    assert.deepEqual(
      a.lines.filter(({ msg }) => UNACKNOWLEDGED.test(msg)),
      []
    )
    await proxy.accept()
    await until(() => a.locks.once('migrate', DAY_MS, () => {}).catch(() => false), 'a run')
  })

  test('a crashed worker blocks other workers for the lease, not for the ttl', async (t) => {
    const { proxy, a, b } = await startPair(t, 1000)
    const { fn, begun, end } = latch<{ signal: AbortSignal }>()
    const first = a.locks.once('migrate', DAY_MS, fn, { leaseMs: 500 })
    const { signal } = await begun
    await proxy.refuse()
    await until(() => b.locks.once('migrate', DAY_MS, () => assert.ok(signal.aborted)), 'another run')
    end('late')
    assert.equal(await first, true)
    assert.ok(a.lines.some(({ msg }) => /lease lost during a run/.test(msg)))
    await proxy.accept()
    assert.equal(await b.locks.once('migrate', DAY_MS, never), false)
  })

  test('success while Redis is away is recorded when Redis is back, and fn does not run again', async (t) => {
    const { proxy, client, a, b } = await startPair(t, 1000)
    assert.equal(await a.locks.once('migrate', DAY_MS, () => proxy.refuse()), true)
    a.draining.abort()
    const ended = a.locks.ended(60_000)
    await proxy.accept()
    await ended
    assert.equal((await storedLease(client, 'muster:once:migrate'))?.token, 'done', 'a worker that leaves waits for it')
    assert.equal(await b.locks.once('migrate', DAY_MS, never), false)
  })
})

describe('leases under delays', () => {
  test('a lock that was granted too late is not used: its caller queues again', async (t) => {
    const { proxy, client, a, b } = await startPair(t)
    let holder = ''
    const hold = (name: string, ms: number) => async (held: { fence: number; signal: AbortSignal }) => {
      assert.equal(holder, '', 'two holders')
      assert.equal(held.signal.aborted, false)
      holder = name
      await sleep(ms)
      holder = ''
      return held.fence
    }
    proxy.latency = { answer: () => 1500 }
    const late = a.locks.lock('job', 1000, hold('a', 0), { waitMs: 60_000 })
    await until(() => storedLease(client, 'muster:lock:job'), 'the grant')
    proxy.latency = {}
    const fence = await b.locks.lock('job', 1000, hold('b', 2000), { waitMs: 60_000 })
    assert.ok((await late) > fence)
  })

  test('once() and every() do not use a late grant either', async (t) => {
    const { proxy, client, a, b } = await startPair(t)
    proxy.latency = { answer: () => 1500 }
    const late = a.locks.once('migrate', DAY_MS, never, { leaseMs: 1000 })
    const every = a.locks.every('tick', DAY_MS, never, { ttlMs: 1000 })
    const granted = async (key: string) => (await storedLease(client, key))?.token
    await until(
      async () => (await granted('muster:once:migrate')) && (await granted('muster:every:tick')),
      'the grants'
    )
    proxy.latency = {}
    const { fn, begun, end } = latch()
    await until(() => {
      void b.locks.once('migrate', DAY_MS, fn)
      return Promise.race([begun.then(() => true), sleep(20, false)])
    }, 'the run of another worker')
    assert.equal(await late, false)
    end('done')
    await every.stop()
  })

  test('when Redis always grants too late, the caller gets 503 and the lock is free again', async (t) => {
    const { proxy, a, b } = await startPair(t, 1000)
    proxy.latency = { answer: () => 400 }
    await assert.rejects(a.locks.lock('job', 500, never), UNAVAILABLE)
    proxy.latency = {}
    assert.equal(await b.locks.lock('job', 60_000, () => 'free', { waitMs: 60_000 }), 'free')
  })

  test('a renewal that arrives after its holder gave up does not extend the lease', async (t) => {
    const { proxy, a, b } = await startPair(t)
    const goOn = gate()
    const lost = a.locks.lock('job', 3000, async ({ signal }) => {
      proxy.strand()
      await once(signal, 'abort')
      await proxy.flow()
      await goOn.opened
    })
    await sleep(500)
    const startedAt = performance.now()
    await b.locks.lock('job', 60_000, () => {}, { waitMs: 60_000 })
    const waitedMs = performance.now() - startedAt
    assert.ok(waitedMs < 4500, `it was free after ${Math.round(waitedMs)} ms`)
    goOn.open()
    await lost
  })
})
