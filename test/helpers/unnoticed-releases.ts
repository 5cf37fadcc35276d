import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { LastingClients, type LastingMix } from './lasting-clients.ts'
import { fixture, Load } from './load.ts'
import { startRedis } from './redis.ts'
import { startService } from './service.ts'
import { stopwatch } from './timed.ts'

export const WORKERS = 2

interface Options {
  mix: LastingMix
  /** Keep-alive connections. Half of them are mostly idle. */
  connections: number
  reloads: number
  /** How long an upload or download takes. */
  transferSeconds?: number
  /** What a reload may take, without the time in which the clients, which take most of the CPU, had to wait for it. */
  maxReloadMs?: number
}

/** @param scale 1 stands for the load of the promise: it has 1,000 WebSockets, 500 event streams, 200 keep-alive connections */
export function promisedLoad(scale: number): Pick<Options, 'mix' | 'connections'> {
  const count = (full: number) => Math.ceil(full * scale)
  const mix = { busySockets: count(500), quietSockets: count(500), streams: count(500), transfers: count(20) }
  return { mix, connections: 2 * count(100) }
}

/**
 * Reloads a service whose clients stay connected: WebSockets, event streams, uploads, downloads and keep-alive connections. Expects
 * that no client notices anything.
 */
export async function releaseUnnoticed(
  t: TestContext,
  { mix, connections, reloads, transferSeconds = 1, maxReloadMs = Number.POSITIVE_INFINITY }: Options
): Promise<void> {
  const { url } = await startRedis(t)
  const service = await startService(t, {
    env: {
      REDIS_URL: url,
      APP: fixture('lasting'),
      LOG_LEVEL: 'info',
      MAX_LOOP_DELAY: '0',
      REQUEST_TIMEOUT: '600000',
      // Reloads follow each other at once here, so that many workers of old releases still have an upload or a download.
      LINGER_MAX_WORKERS: String(WORKERS * reloads),
      LINGER_MAX_MEMORY: '8192'
    },
    workers: WORKERS
  })
  const clients = await LastingClients.start(t, service.port, mix, { transferSeconds })
  const load = new Load(t, service.port, { tight: connections / 2, idle: connections / 2 }, { pauseMs: 200 })
  const durations: number[] = []
  for (let i = 1; i <= reloads; i++) {
    const elapsed = stopwatch()
    const outcome = await service.reload()
    durations.push(Math.round(elapsed()))
    assert.equal(outcome.msg, 'rollout done')
    assert.equal(outcome.generation, i + 1)
  }
  await clients.receiveMore()
  await Promise.all([clients.stop(), load.stop()])
  t.diagnostic(
    `${clients.messages} messages by ${clients.pids.size} workers, ${clients.events} events, ${clients.transfers} uploads and ` +
      `downloads, ${load.answered} answers; reloads took ${durations.join(', ')} ms`
  )
  const said = service.lines
    .filter(({ level, msg }) => Number(level) >= 40 || msg === 'drained')
    .map((line) => JSON.stringify(line))
  assert.deepEqual([...clients.noticed], [], said.slice(0, 50).join('\n'))
  assert.deepEqual([...load.failures], [])
  assert.equal(load.reopened, 0, 'a keep-alive connection was closed')
  assert.ok(clients.pids.size > reloads, `${clients.pids.size} workers answered messages`)
  assert.ok(Math.max(...durations) <= maxReloadMs, `a reload took ${Math.max(...durations)} ms`)
  assert.deepEqual(await service.stop(), { code: 0, signal: null })
}
