import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { fixture } from '../helpers/load.ts'
import { startRedis } from '../helpers/redis.ts'
import { type Service, startService } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'
import '../helpers/uncounted.ts'
import '../helpers/takes-long.ts'

const PERIOD_MS = 100
const LENGTH_MS = 15_000

/** What the fixture says of a run; `at` and `period` by Redis' clock, in ms. */
interface Tick {
  what: 'begin' | 'end'
  period: number
  pid: number
  at: number
}

const ticksOf = async (redis: Redis, from = 0) =>
  (await redis.lrange('ticks', from, -1)).map((json) => JSON.parse(json) as Tick)

/** Kills a worker in the middle of a run. @returns its pid */
async function killRunner(redis: Redis, killed: Set<number>): Promise<number> {
  for (;;) {
    const [last] = await ticksOf(redis, -1)
    if (last?.what !== 'begin' || killed.has(last.pid)) {
      await sleep(5)
      continue
    }
    process.kill(last.pid, 'SIGKILL')
    killed.add(last.pid)
    await redis.ping() // by the answer, Redis has also read what the worker had sent before
    const [now] = await ticksOf(redis, -1)
    if (now?.what === 'begin' && now.pid === last.pid) return last.pid
  }
}

function killAny(services: Service[]): number {
  const pids = services.flatMap((service) => [...service.workers().keys()])
  const pid = pids[Math.floor(Math.random() * pids.length)]!
  process.kill(pid, 'SIGKILL')
  return pid
}

test('across two hosts with killed workers, a job runs at most once per period and never twice at a time', async (t) => {
  const { url, client } = await startRedis(t)
  const env = { REDIS_URL: url, APP: fixture('tick') }
  const hosts = await Promise.all([0, 1].map(() => startService(t, { env, workers: 3 })))
  const killed = new Set<number>()
  const end = performance.now() + LENGTH_MS
  for (let kill = 0; kill < 3; kill++) {
    await sleep(LENGTH_MS / 10)
    await killRunner(client, killed)
    await sleep(LENGTH_MS / 10)
    if (kill === 1) await hosts[0]!.reload()
    else killed.add(killAny(hosts))
  }
  await sleep(end - performance.now())
  await until(async () => (await ticksOf(client, -1))[0]?.what === 'end', 'a run after the last kill')
  for (const host of hosts) assert.deepEqual(await host.stop(), { code: 0, signal: null })

  const ticks = await ticksOf(client)
  const begins = ticks.filter(({ what }) => what === 'begin')
  const periods = begins.map(({ period }) => period)
  assert.deepEqual(
    periods,
    [...new Set(periods)].sort((a, b) => a - b),
    'a period twice, or an earlier one'
  )
  for (const { period, at } of begins) assert.ok(period % PERIOD_MS === 0 && at >= period, `${at} for ${period}`)

  let running: Tick | undefined
  let unfinished = 0
  for (const tick of ticks) {
    if (tick.what === 'end') {
      assert.deepEqual([tick.pid, tick.period], [running?.pid, running?.period], 'the end of another run')
      running = undefined
      continue
    }
    if (running) {
      assert.ok(killed.has(running.pid), `${JSON.stringify(tick)} while ${JSON.stringify(running)}`)
      unfinished++
    }
    running = tick
  }
  assert.equal(running, undefined, 'a worker that leaves in order finishes its run')
  assert.ok(unfinished >= 3, `${unfinished} of the kills hit a run`)
  assert.ok(begins.length >= 20, `${begins.length} runs`)
  assert.ok(new Set(begins.map(({ pid }) => pid)).size > 1, 'several workers ran it')
  t.diagnostic(`${begins.length} runs by ${new Set(begins.map(({ pid }) => pid)).size} workers`)
})
