import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { Locks, type Run } from '../../src/state/once.ts'
import { RedisLink } from '../../src/state/redis.ts'
import { startApp } from '../helpers/app.ts'
import { RedisProxy } from '../helpers/proxy.ts'
import { startRedis } from '../helpers/redis.ts'
import { until } from '../helpers/until.ts'

interface Worker {
  locks: Locks
  link: RedisLink
  draining: AbortController
  /** What it has logged. */
  lines: { msg: string; level: number; err?: { message: string } }[]
}

/** A Redis, and workers on it, as much of them as locks need; they leave before it does. */
async function start(t: TestContext) {
  const workers: Worker[] = []
  t.after(async () => {
    for (const { draining } of workers) draining.abort()
    await Promise.all(workers.map(({ locks }) => locks.ended(10_000)))
    for (const { link } of workers) link.stop()
  })
  const redis = await startRedis(t)
  const open = async (url = redis.url, timeoutMs = 5000): Promise<Worker> => {
    const lines: Worker['lines'] = []
    const log = pino({ level: 'info' }, { write: (line) => void lines.push(JSON.parse(line)) })
    const link = new RedisLink(url, timeoutMs, log)
    const draining = new AbortController()
    const locks = new Locks({ link, log, draining: draining.signal, idleMs: 60_000 })
    const worker = { locks, link, draining, lines }
    workers.push(worker)
    await link.start(async () => {})
    locks.open()
    return worker
  }
  return { ...redis, open }
}

const times = <T>(count: number, what: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => what(i))
const HELD = { statusCode: 409, code: 'LOCK_HELD', retryAfter: 1 }
const LOST = { name: 'LeaseLostError', code: 'LEASE_LOST' }

const never = (): never => assert.fail('it ran')

/** A promise and what resolves it. */
function gate<T = void>() {
  let open!: (value: T) => void
  const opened = new Promise<T>((resolve) => {
    open = resolve
  })
  return { open, opened }
}

/** A function that runs until it is told to end, and what it was given. */
function latch<H>() {
  const begin = gate<H>()
  const end = gate<string>()
  const fn = (held: H) => {
    begin.open(held)
    return end.opened
  }
  return { fn, begun: begin.opened, end: end.open }
}

describe('lock', () => {
  test('one at a time over all workers: nothing that is read and then written is lost', async (t) => {
    const { client, open } = await start(t)
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

  test('is refused while another holds it, and free as soon as that has ended, well or not', async (t) => {
    const { open } = await start(t)
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

  test('is renewed: work may take much longer than its ttl', async (t) => {
    const { open } = await start(t)
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

  test('is lost when Redis cannot be asked for so long: the signal says so before another gets it', async (t) => {
    const { url, open } = await start(t)
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

  test('is lost when its key is gone: the next renewal finds out', async (t) => {
    const { client, open } = await start(t)
    const { locks } = await open()
    await locks.lock('job', 1000, async ({ signal }) => {
      await client.del('muster:lock:job')
      await once(signal, 'abort')
      assert.throws(() => signal.throwIfAborted(), LOST)
    })
  })

  test('fences go on growing even when Redis has forgotten everything', async (t) => {
    const { client, open } = await start(t)
    const { locks } = await open()
    const fence = () => locks.lock('job', 1000, (held) => held.fence)
    const before = await fence()
    await client.flushall()
    await until(async () => (await fence()) > before, 'a higher fence')
  })

  test('answers that are lost change nothing: the same lock is asked for again', async (t) => {
    const { url, client, open } = await start(t)
    const proxy = await RedisProxy.start(t, url)
    const { locks } = await open(proxy.url)
    await locks.lock('job', 5000, () => {})
    const before = Number(await client.hget('muster:lock:job', 'fence'))
    await client.hset('muster:lock:job', 'fence', before + 1_000_000_000)
    for (let lost = 1; lost <= 5; lost++) {
      proxy.loseAnswers(1, 'muster:lock:job')
      const { fence } = await locks.lock('job', 5000, (held) => ({ fence: held.fence }))
      assert.equal(proxy.toLose, 0)
      assert.equal(fence, before + 1_000_000_000 + lost, 'it was taken once')
    }
    proxy.loseAnswers(0, '')
    assert.equal(await locks.lock('job', 5000, () => 'free'), 'free')
  })

  test('when this worker leaves, the signal is aborted; the lock is held until the work has ended', async (t) => {
    const { open } = await start(t)
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

  test('work that does not end is not waited for beyond the deadline', async (t) => {
    const { open } = await start(t)
    const { locks, draining } = await open()
    const { fn, begun, end } = latch()
    const job = locks.lock('job', 1000, fn)
    await begun
    draining.abort()
    await locks.ended(50)
    end('at last')
    await job
  })

  test('without Redis it is a clear 503 in time', async (t) => {
    const { url, open } = await start(t)
    const proxy = await RedisProxy.start(t, url)
    const { locks } = await open(proxy.url, 300)
    proxy.hang()
    const unavailable = { statusCode: 503, code: 'STATE_UNAVAILABLE', retryAfter: 1 }
    await assert.rejects(locks.lock('job', 1000, never), unavailable)
    await assert.rejects(locks.once('job', 1000, never), unavailable)
  })

  test('bad names and times are refused', async (t) => {
    const { open } = await start(t)
    const { locks } = await open()
    await assert.rejects(locks.lock('a b', 1000, never), /^TypeError: lock: a name is 1 to 64 characters/)
    await assert.rejects(locks.once('{a}', 1000, never), /^TypeError: once: a name/)
    assert.throws(() => locks.every('', 1000, never), /^TypeError: every: a name/)
    await assert.rejects(locks.lock('a', 99, never), /^RangeError: lock: ttlMs is a whole number of milliseconds/)
    await assert.rejects(locks.lock('a', 1000, never, { waitMs: Number.NaN }), /^RangeError: lock: waitMs/)
    await assert.rejects(locks.once('a', 1000.5, never), /^RangeError: once: ttlMs/)
    assert.throws(() => locks.every('a', 9, never), /^RangeError: every: periodMs/)
    assert.throws(() => locks.every('a', 1000, never, { ttlMs: -1 }), /^RangeError: every: ttlMs/)
  })
})

describe('once', () => {
  test('runs at one worker of all, whoever comes first; the others are told at once that it did not run', async (t) => {
    const { open } = await start(t)
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

  test('may run again when its time is over, and not before', async (t) => {
    const { client, open } = await start(t)
    const [a, b] = [await open(), await open()]
    const now = async () => Number((await client.time())[0]) * 1000 + Number((await client.time())[1]) / 1000
    const began: number[] = []
    const note = async () => began.push(await now())
    const before = await now()
    assert.equal(await a.locks.once('report', 500, note), true)
    await until(() => b.locks.once('report', 500, note), 'a second run')
    assert.ok(began[1]! - before >= 500, `${began[1]! - before} ms`)
  })

  test('when it fails another may try', async (t) => {
    const { open } = await start(t)
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

  test('the signal is aborted when it is still at it and its time is over', async (t) => {
    const { open } = await start(t)
    const { locks } = await open()
    const ran = await locks.once('report', 200, async ({ signal }) => {
      await once(signal, 'abort')
      assert.throws(() => signal.throwIfAborted(), LOST)
    })
    assert.equal(ran, true)
  })
})

describe('every', () => {
  test('once in a period, at one worker at a time, whether it fails or not', async (t) => {
    const { open } = await start(t)
    const workers = await Promise.all(times(3, () => open()))
    const periods: number[] = []
    let running = 0
    let most = 0
    const job = async ({ period }: Run) => {
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
    const failed = workers.flatMap(({ lines }) => lines.filter((line) => line.msg === 'a run failed'))
    assert.deepEqual(new Set(failed.map((line) => line.err?.message)), new Set(['this one is broken']))
    await sleep(150)
    assert.equal(periods.length, ran, 'it was stopped')
  })

  test('a run that takes longer than a period: periods are skipped, and nothing runs beside it', async (t) => {
    const { open } = await start(t)
    const workers = await Promise.all(times(3, () => open()))
    const periods: number[] = []
    let running = 0
    let most = 0
    const job = async ({ period }: Run) => {
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

  test('stop aborts the run in progress and waits for it', async (t) => {
    const { open } = await start(t)
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

  test('when the worker that runs it leaves, its run is told and waited for, and another goes on', async (t) => {
    const { open } = await start(t)
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

  test('who is stopped while Redis says that a run is due leaves the run to another', async (t) => {
    const { url, client, open } = await start(t)
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
    assert.equal(await client.hget('muster:every:tick', 'token'), null)
    const run = await new Promise<Run>((resolve) => b.locks.every('tick', periodMs, resolve))
    assert.equal(run.period % periodMs, 0)
  })

  test('a worker that is gone without a word is replaced when its lease has ended', async (t) => {
    const { url, client, open } = await start(t)
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
    const free = Number(await client.hget('muster:every:tick', 'until'))
    const periods: number[] = []
    b.locks.every('tick', 20, ({ period }) => periods.push(period), { ttlMs: 1000 })
    await until(() => periods.length > 0, 'another run')
    assert.ok(periods[0]! + 20 > free, 'not before')
    await proxy.accept()
    await every.stop()
  })

  test('while Redis is away nothing runs; then it goes on by itself', async (t) => {
    const { url, open } = await start(t)
    const proxy = await RedisProxy.start(t, url)
    const { locks, link } = await open(proxy.url, 200)
    let runs = 0
    locks.every('tick', 20, () => runs++)
    await until(() => runs > 2, 'some runs')
    await proxy.refuse()
    await until(() => link.away, 'Redis is away')
    const before = runs
    await sleep(200)
    assert.equal(runs, before)
    await proxy.accept()
    await until(() => runs > before + 2, 'further runs')
  })

  test('nothing runs before the app is whole: a release that cannot boot runs none', async (t) => {
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
