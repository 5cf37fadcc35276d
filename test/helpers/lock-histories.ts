import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { LeaseGrant } from '../../src/state/locks/lease.ts'
import type { Locks } from '../../src/state/locks/locks.ts'
import { startWorkers } from './locks.ts'
import { RedisProxy } from './proxy.ts'
import { Random } from './random.ts'

const DAY_MS = 86_400_000
const WORKERS = 4
/** Names that run at the same time. */
const CONCURRENCY = 64
/** Numbers of callers and of locks. */
const CALLERS = 160
const LOCKS = 40
/** Every name must have run within this time, which is many times the lease of `once`. */
const PATIENCE_MS = 120_000

/** Workers behind one proxy each, and a random generator whose seed the test prints. */
async function startBehindProxies(t: TestContext, timeoutMs: number) {
  const seed = Date.now() % 2 ** 31
  t.diagnostic(`seed ${seed}`)
  const random = new Random(seed)
  const { url, open } = await startWorkers(t)
  const proxies: RedisProxy[] = []
  const workers: Awaited<ReturnType<typeof open>>[] = []
  for (let i = 0; i < WORKERS; i++) {
    const proxy = await RedisProxy.start(t, url)
    proxies.push(proxy)
    workers.push(await open(proxy.url, timeoutMs))
  }
  return { random, proxies, workers, open }
}

/** Runs tasks, `concurrency` at a time. */
async function runAll(count: number, task: (i: number) => Promise<void>, concurrency = CONCURRENCY): Promise<void> {
  let next = 0
  const run = async () => {
    while (next < count) await task(next++)
  }
  await Promise.all(Array.from({ length: concurrency }, run))
}

/** Injects one fault after another, each followed by a pause, until `isOver`. The last one has ended when this resolves. */
async function disturb(proxy: RedisProxy, random: Random, isOver: () => boolean): Promise<number> {
  const faults = [
    async () => proxy.cut(),
    async () => proxy.loseAnswers(random.between(1, 3), 'muster:'),
    async (ms: number) => {
      proxy.strand()
      await sleep(ms)
      await proxy.flow()
    },
    async (ms: number) => {
      proxy.hang()
      await sleep(ms)
      await proxy.flow()
    },
    async (ms: number) => {
      await proxy.refuse()
      await sleep(ms)
      await proxy.accept()
    },
    async (ms: number) => {
      proxy.mute()
      await sleep(ms)
      proxy.unmute()
      // A single missing reply would shift all later ones.
      proxy.cut()
    },
    async (ms: number) => {
      proxy.latency = { request: () => random.between(0, 400), answer: () => random.between(0, 400) }
      await sleep(ms)
      proxy.latency = {}
    }
  ]
  let count = 0
  for (; !isOver(); count++) {
    await faults[random.between(0, faults.length - 1)]!(random.between(50, 900))
    await sleep(random.between(300, 1500))
  }
  proxy.loseAnswers(0, '')
  return count
}

/**
 * Every worker calls `once` with every name until it has run, while connections are cut, hang, are refused, lose replies and
 * deliver late. A run counts when it ends without an aborted signal; every seventh one fails.
 */
export async function onceHistory(t: TestContext, names: number): Promise<void> {
  const { random, proxies, workers, open } = await startBehindProxies(t, 300)
  const runs = new Map<string, number>()
  const counts = { runs: 0, failed: 0, aborted: 0, unavailable: 0 }
  let isOver = false
  const faults = proxies.map((proxy) => disturb(proxy, random, () => isOver))

  const runName = async (i: number) => {
    const name = `name-${i}`
    const deadline = performance.now() + PATIENCE_MS
    const run = async ({ signal }: LeaseGrant) => {
      counts.runs++
      await sleep(random.chance(0.02) ? random.between(3500, 5000) : random.between(0, 30))
      if (signal.aborted) counts.aborted++
      signal.throwIfAborted()
      if (random.chance(1 / 7)) {
        counts.failed++
        throw new Error('this run failed')
      }
      runs.set(name, (runs.get(name) ?? 0) + 1)
    }
    const ask = async ({ locks }: { locks: Locks }) => {
      await sleep(random.between(0, 50))
      while (!runs.has(name)) {
        assert.ok(performance.now() < deadline, `${name} has not run within ${PATIENCE_MS} ms`)
        await locks.once(name, DAY_MS, run).catch((error: { code?: string }) => {
          if (error.code === 'STATE_UNAVAILABLE') counts.unavailable++
        })
        if (!runs.has(name)) await sleep(random.between(100, 400))
      }
    }
    await Promise.all(workers.map(ask))
  }

  try {
    await runAll(names, runName)
  } finally {
    isOver = true
    t.diagnostic(JSON.stringify({ ...counts, faults: (await Promise.all(faults)).reduce((a, b) => a + b) }))
  }
  for (const { draining } of workers) draining.abort()
  await Promise.all(workers.map(({ locks }) => locks.ended(60_000)))
  const late = await open()
  await runAll(names, async (i) => {
    assert.equal(await late.locks.once(`name-${i}`, DAY_MS, () => runs.set(`name-${i}`, 2)), false, `name-${i} again`)
  })
  assert.deepEqual(
    [...runs].filter(([, count]) => count > 1),
    [],
    'no name ran twice'
  )
  assert.equal(runs.size, names)
}

/**
 * Callers in every worker take the same few locks, while requests and replies are delayed by up to one and a half times the TTL.
 * There must never be two holders at the same time of which neither has an aborted signal.
 */
export async function lockHistory(t: TestContext, grants: number): Promise<void> {
  const ttlMs = 1000
  const { random, proxies, workers } = await startBehindProxies(t, 2000)
  const latency = () => (random.chance(0.1) ? random.between(300, 1500) : random.between(0, 5))
  for (const proxy of proxies) proxy.latency = { request: latency, answer: latency }
  const holders = new Map<string, LeaseGrant>()
  const highest = new Map<string, number>()
  const counts = { granted: 0, lost: 0, refused: 0 }
  const violations: string[] = []

  const hold = (name: string) => async (held: LeaseGrant) => {
    counts.granted++
    const other = holders.get(name)
    if (held.signal.aborted) violations.push(`${name}: granted when it was lost already`)
    if (other && !other.signal.aborted)
      violations.push(`${name}: ${other.fence} and ${held.fence} both believe to hold it`)
    if (held.fence <= (highest.get(name) ?? 0)) violations.push(`${name}: ${held.fence} after ${highest.get(name)}`)
    highest.set(name, held.fence)
    holders.set(name, held)
    await sleep(random.chance(0.1) ? random.between(ttlMs, 2 * ttlMs) : random.between(0, 20))
    if (held.signal.aborted) counts.lost++
    if (holders.get(name) === held) holders.delete(name)
  }
  const call = async (i: number) => {
    const { locks } = workers[i % WORKERS]!
    while (counts.granted < grants) {
      const name = `lock-${random.between(1, LOCKS)}`
      await locks.lock(name, ttlMs, hold(name), { waitMs: 5000 }).catch(async (error: { statusCode?: number }) => {
        if (!error.statusCode) throw error
        counts.refused++
        // While Redis is away, every call is refused at once.
        await sleep(random.between(10, 50))
      })
    }
  }
  await runAll(CALLERS, call, CALLERS)
  t.diagnostic(JSON.stringify(counts))
  for (const proxy of proxies) proxy.latency = {}
  assert.deepEqual(violations, [])
}
