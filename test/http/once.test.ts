import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { PeriodicRun } from '../../src/state/locks/lease-runs.ts'
import { startApp } from '../helpers/app.ts'
import { gate, LOST, latch, never, startWorkers, storedLease, times } from '../helpers/locks.ts'
import { RedisProxy } from '../helpers/proxy.ts'
import { startRedis } from '../helpers/redis.ts'
import { until } from '../helpers/until.ts'

describe('once()', () => {
  test('runs in one of all workers, the first; the others learn at once that it did not run there', async (t) => {
    const { open } = await startWorkers(t)
    const workers = await Promise.all(times(3, () => open()))
    const { fn, begun, end } = latch()
    let runs = 0
    const run = (held: unknown) => {
      runs++
      return fn(held)
    }
    const all = workers.flatMap(({ locks }) => times(10, () => locks.once('report', 60_000, run)))
    await begun
    assert.equal(await Promise.race(all), false)
    end('done')
    assert.equal((await Promise.all(all)).filter((ran) => ran).length, 1)
    assert.equal(await workers[0]!.locks.once('report', 60_000, run), false, 'also when it has ended')
    assert.equal(await workers[0]!.locks.once('another', 60_000, () => {}), true)
    assert.equal(runs, 1)
  })

  test('may run again after its ttl, and not before', async (t) => {
    const { client, open } = await startWorkers(t)
    const [a, b] = [await open(), await open()]
    const now = async () => Number((await client.time())[0]) * 1000 + Number((await client.time())[1]) / 1000
    const began: number[] = []
    const note = async () => began.push(await now())
    const before = await now()
    assert.equal(await a.locks.once('report', 500, note), true)
    await until(() => b.locks.once('report', 500, note), 'a second run')
    assert.ok(began[1]! - before >= 500, `${began[1]! - before} ms`)
  })

  test('may be tried by another worker after a failure', async (t) => {
    const { open } = await startWorkers(t)
    const [a, b] = [await open(), await open()]
    await assert.rejects(
      a.locks.once('report', 60_000, async () => {
        throw new Error('broken')
      }),
      /broken/
    )
    assert.equal(await b.locks.once('report', 60_000, () => {}), true)
    assert.equal(await a.locks.once('report', 60_000, () => {}), false)
  })

  test('may take longer than its ttl: it is renewed, and no other worker runs it', async (t) => {
    const { open } = await startWorkers(t)
    const [a, b] = [await open(), await open()]
    const ran = await a.locks.once('report', 1000, async ({ signal }) => {
      for (let i = 0; i < 3; i++) {
        await sleep(500)
        assert.equal(await b.locks.once('report', 1000, never), false)
      }
      assert.equal(signal.aborted, false)
    })
    assert.equal(ran, true)
  })

  test('aborts the signal when Redis does not renew the lease in time', async (t) => {
    const { url, open } = await startWorkers(t)
    const proxy = await RedisProxy.start(t, url)
    const { locks } = await open(proxy.url)
    const ran = await locks.once(
      'report',
      60_000,
      async ({ signal }) => {
        await proxy.refuse()
        await once(signal, 'abort')
        assert.throws(() => signal.throwIfAborted(), LOST)
        await proxy.accept()
      },
      { leaseMs: 500 }
    )
    assert.equal(ran, true)
  })
})

describe('every()', () => {
  test('runs once per period, in one worker at a time, whether it fails or not', async (t) => {
    const { open } = await startWorkers(t)
    const workers = await Promise.all(times(3, () => open()))
    const periods: number[] = []
    let running = 0
    let most = 0
    const job = async ({ period }: PeriodicRun) => {
      periods.push(period)
      most = Math.max(most, ++running)
      await sleep(10)
      running--
      if (periods.length % 2) throw new Error('this one is broken')
    }
    const jobs = workers.map(({ locks }) => locks.every('tick', 50, job))
    await until(() => periods.length >= 20, '20 runs')
    await Promise.all(jobs.map((every) => every.stop()))
    const ran = periods.length
    assert.deepEqual(periods, [...new Set(periods)].toSorted(), 'a period twice')
    assert.equal(most, 1, 'at a time')
    assert.ok(periods.every((period) => period % 50 === 0))
    const failed = workers.flatMap(({ lines }) => lines.filter((line) => line.msg === 'periodic run failed'))
    assert.deepEqual(new Set(failed.map((line) => line.err?.message)), new Set(['this one is broken']))
    await sleep(150)
    assert.equal(periods.length, ran, 'it was stopped')
  })

  test('skips periods while a run takes longer than one', async (t) => {
    const { open } = await startWorkers(t)
    const workers = await Promise.all(times(3, () => open()))
    const periods: number[] = []
    let running = 0
    let most = 0
    const job = async ({ period }: PeriodicRun) => {
      periods.push(period)
      most = Math.max(most, ++running)
      await sleep(250)
      running--
    }
    for (const { locks } of workers) locks.every('tick', 100, job, { ttlMs: 5000 })
    await until(() => periods.length >= 5, '5 runs')
    assert.equal(most, 1, 'at a time')
    for (const [i, period] of periods.slice(1).entries()) {
      assert.ok(period - periods[i]! >= 200, `${period - periods[i]!} ms from one to the next`)
    }
  })

  test('stop() aborts the current run and waits for it', async (t) => {
    const { open } = await startWorkers(t)
    const { locks } = await open()
    let ended = false
    const begun = gate()
    const every = locks.every('tick', 10, async ({ signal }) => {
      begun.open()
      await once(signal, 'abort')
      await sleep(50)
      ended = true
    })
    await begun.opened
    await every.stop()
    assert.equal(ended, true)
  })

  test('aborts and awaits its run when the worker drains, and continues in another worker', async (t) => {
    const { open } = await startWorkers(t)
    const [a, b] = [await open(), await open()]
    const ran: string[] = []
    const begun = gate()
    a.locks.every('tick', 20, async ({ signal }) => {
      begun.open()
      await once(signal, 'abort')
      await sleep(100)
      ran.push('a')
    })
    await begun.opened
    b.locks.every('tick', 20, () => ran.push('b'))
    a.draining.abort()
    await a.locks.ended(60_000)
    assert.equal(ran[0], 'a')
    await until(() => ran.length > 3, 'further runs')
    assert.ok(ran.slice(1).every((who) => who === 'b'))
    await a.locks.every('late', 20, never).stop()
  })

  test('leaves a run to another worker when it is stopped while Redis answers that a run is due', async (t) => {
    const { url, client, open } = await startWorkers(t)
    const proxy = await RedisProxy.start(t, url)
    const [a, b] = [await open(proxy.url), await open()]
    const periodMs = 1_000_000_000_000 // they begin in 2001, 2033, …: none while this runs
    await a.locks.lock('warm', 1000, () => {})
    proxy.strand()
    const every = a.locks.every('tick', periodMs, never)
    await sleep(50)
    const stopped = every.stop()
    await proxy.flow()
    await stopped
    assert.equal(await storedLease(client, 'muster:every:tick'), undefined)
    const run = await new Promise<PeriodicRun>((resolve) => b.locks.every('tick', periodMs, resolve))
    assert.equal(run.period % periodMs, 0)
  })

  test('continues in another worker when the lease of a crashed worker has expired', async (t) => {
    const { url, client, open } = await startWorkers(t)
    const proxy = await RedisProxy.start(t, url)
    const [a, b] = [await open(proxy.url), await open()]
    const begun = gate()
    const every = a.locks.every(
      'tick',
      20,
      ({ signal }) => {
        begun.open()
        return once(signal, 'abort')
      },
      { ttlMs: 1000 }
    )
    await begun.opened
    await proxy.refuse()
    const free = (await storedLease(client, 'muster:every:tick'))!.ends
    const periods: number[] = []
    b.locks.every('tick', 20, ({ period }) => periods.push(period), { ttlMs: 1000 })
    await until(() => periods.length > 0, 'another run')
    assert.ok(periods[0]! + 20 > free, 'not before')
    await proxy.accept()
    await every.stop()
  })

  test('pauses while Redis is away, then continues by itself', async (t) => {
    const { url, open } = await startWorkers(t)
    const proxy = await RedisProxy.start(t, url)
    const { locks, connection } = await open(proxy.url, 200)
    let runs = 0
    locks.every('tick', 20, () => runs++)
    await until(() => runs > 2, 'some runs')
    await proxy.refuse()
    await until(() => connection.away, 'Redis is away')
    const before = runs
    await sleep(200)
    assert.equal(runs, before)
    await proxy.accept()
    await until(() => runs > before + 2, 'further runs')
  })

  test('does not run before the app is ready: a release that cannot boot runs nothing', async (t) => {
    const redis = await startRedis(t)
    const runs: string[] = []
    await assert.rejects(
      startApp(t, {
        redis,
        routes: async (app) => {
          app.shared.every('tick', 10, () => runs.push('broken'))
          await sleep(100)
          throw new Error('this release is broken')
        }
      }),
      /this release is broken/
    )
    await startApp(t, {
      redis,
      routes: async (app) => {
        app.shared.every('tick', 10, () => runs.push('whole'))
      }
    })
    await until(() => runs.length > 2, 'some runs')
    assert.deepEqual(new Set(runs), new Set(['whole']))
  })
})
