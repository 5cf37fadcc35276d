import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { latch, never, startWorkers, times } from '../helpers/locks.ts'
import { RedisProxy } from '../helpers/proxy.ts'
import { until } from '../helpers/until.ts'

const QUEUE = '{muster:leases}:queue:muster:lock:job'
const HELD = { code: 'LOCK_HELD' }

describe('callers that wait for a lock', () => {
  test('get it in the order of their calls, in whichever worker they are', async (t) => {
    const { client, open } = await startWorkers(t)
    const workers = await Promise.all(times(3, () => open()))
    const { fn, begun, end } = latch()
    const first = workers[0]!.locks.lock('job', 5000, fn)
    await begun
    const served: number[] = []
    const waiting: Promise<unknown>[] = []
    for (let i = 0; i < 12; i++) {
      const { locks } = workers[(i * i) % 3]!
      waiting.push(locks.lock('job', 5000, () => served.push(i), { waitMs: 60_000 }))
      await until(async () => (await client.zcard(QUEUE)) === i + 1, 'a place in the queue')
    }
    end('done')
    await Promise.all([first, ...waiting])
    assert.deepEqual(served, [...Array(12).keys()])
    assert.equal(await client.zcard(QUEUE), 0)
  })

  test('do not starve while one worker takes the lock again and again', async (t) => {
    const { open } = await startWorkers(t)
    const [a, b] = [await open(), await open()]
    const taken = { a: 0, b: 0 }
    let isOver = false
    const greedy = async (name: 'a' | 'b', worker: typeof a) => {
      while (!isOver) {
        await worker.locks.lock('job', 5000, () => sleep(2), { waitMs: 60_000 })
        taken[name]++
      }
    }
    const both = [greedy('a', a), greedy('b', b)]
    await until(() => Math.max(taken.a, taken.b) >= 30, '30 turns')
    isOver = true
    await Promise.all(both)
    assert.ok(Math.abs(taken.a - taken.b) <= 2, JSON.stringify(taken))
  })

  test('are not overtaken by a caller that does not wait', async (t) => {
    const { client, open } = await startWorkers(t)
    const [a, b] = [await open(), await open()]
    const { fn, begun, end } = latch()
    const first = a.locks.lock('job', 5000, fn)
    await begun
    const next = latch()
    const waiting = b.locks.lock('job', 60_000, next.fn, { waitMs: 60_000 })
    await until(() => client.zcard(QUEUE), 'a place in the queue')
    end('done')
    await first
    // The waiting caller holds the lock now, or gets it next.
    await assert.rejects(a.locks.lock('job', 5000, never), HELD)
    await next.begun
    next.end('in turn')
    assert.equal(await waiting, 'in turn')
  })

  test('leave the queue on timeout and when their worker ends', async (t) => {
    const { url, client, open } = await startWorkers(t)
    const proxy = await RedisProxy.start(t, url)
    const [a, b, gone] = [await open(), await open(), await open(proxy.url)]
    const { fn, begun, end } = latch()
    const first = a.locks.lock('job', 60_000, fn)
    await begun
    await assert.rejects(b.locks.lock('job', 5000, never, { waitMs: 50 }), HELD)
    await until(async () => (await client.zcard(QUEUE)) === 0, 'an empty queue')
    const dead = assert.rejects(gone.locks.lock('job', 5000, never, { waitMs: 60_000 }), { statusCode: 503 })
    await until(() => client.zcard(QUEUE), 'a place in the queue')
    await proxy.refuse()
    await dead
    const next = b.locks.lock('job', 5000, () => 'in turn', { waitMs: 60_000 })
    end('done')
    await first
    assert.equal(await next, 'in turn')
  })
})
