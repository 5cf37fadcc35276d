import { setTimeout as sleep } from 'node:timers/promises'
import { askOnce } from '../load/find-requests.ts'
import { objectIn } from '../load/parse-answer.ts'
import type { Ended } from '../load/request-recorder.ts'
import type { RedisSeen } from '../observations.ts'
import type { Fault, FaultContext } from './fault.ts'
import { killProcess, stopProcess } from './held-process.ts'

const STOP_MS = 3000
/** The limit of the README beside REDIS_TIMEOUT. */
const MARGIN_MS = 100
/** The service has resumed when no request was refused for this time. */
const QUIET_MS = 1500
const RESUME_LIMIT_MS = 30_000
const LIVENESS_EVERY_MS = 100
const POLL_MS = 50

const cannot = ({ settings, redis }: FaultContext): string | undefined => {
  if (settings.redis === 'off') return 'the service has no Redis'
  return redis ? undefined : 'the Redis of REDIS_URL is not touched'
}

const cut: Fault = {
  name: 'redis-cut',
  needsMs: () => 2 * QUIET_MS,
  cannot,
  run: async (context) => ({
    redis: await observe(context, async () => {
      for (const type of ['normal', 'pubsub']) await context.redis!.ask(`CLIENT KILL TYPE ${type}`)
    })
  })
}

const stop: Fault = {
  name: 'redis-stop',
  needsMs: () => STOP_MS + 3000 + QUIET_MS,
  cannot,
  run: async (context) => ({
    redis: await observe(context, async () => {
      const resume = context.undo.add(await stopProcess(await context.redis!.pid()))
      await context.watch.pause(STOP_MS)
      await resume()
    })
  })
}

const kill: Fault = {
  name: 'redis-kill',
  needsMs: () => 5000 + QUIET_MS,
  cannot,
  run: async (context) => ({
    redis: await observe(context, async () => {
      const redis = context.redis!
      killProcess(await redis.pid())
      const deadline = performance.now() + RESUME_LIMIT_MS
      while (performance.now() < deadline && !(await redis.ask('PING').catch(() => '')).startsWith('+PONG')) {
        await context.watch.pause(POLL_MS)
      }
    })
  })
}

export const REDIS_FAULTS = [cut, stop, kill]

/** Looks at the answers of the load while Redis is away, and until the service has resumed. @param outage ends when Redis is back */
async function observe(
  { recorder, waits, watch, settings, address }: FaultContext,
  outage: () => Promise<void>
): Promise<RedisSeen> {
  const limitMs = settings.redisTimeoutMs + MARGIN_MS
  const seen: RedisSeen = {
    limitMs,
    answers: 0,
    slow: 0,
    slowestMs: 0,
    unclear: 0,
    liveness: 0,
    livenessFailed: 0,
    unaffected: true
  }
  const begin = performance.now()
  let backAt = Number.POSITIVE_INFINITY
  let lastRefusal = begin
  recorder.onEnded = (ended) => {
    if (ended.startedAt < begin) return
    if (count(seen, ended, recorder.restMs.get(ended.request) ?? 0)) lastRefusal = ended.endedAt
  }
  const liveness = new AbortController()
  const asked = askLiveness()
  try {
    await outage()
    backAt = performance.now()
    const isQuiet = () => performance.now() - Math.max(lastRefusal, backAt) > QUIET_MS
    while (!isQuiet() && performance.now() - backAt < RESUME_LIMIT_MS) await watch.pause(POLL_MS)
    if (isQuiet())
      seen.resumedMs = Math.max(0, lastRefusal - backAt - waits.between(backAt, Math.max(backAt, lastRefusal)))
  } finally {
    liveness.abort()
    recorder.onEnded = undefined
    await asked
  }
  return seen

  async function askLiveness(): Promise<void> {
    while (!liveness.signal.aborted) {
      seen.liveness++
      const answer = await askOnce(address, { method: 'GET', path: '/livez' }, 10_000).catch(() => undefined)
      if (answer?.status !== 200) seen.livenessFailed++
      await sleep(LIVENESS_EVERY_MS)
    }
  }
}

/** Adds an answer to what was seen. @param restMs what its request needs without a fault @returns whether it is an error */
function count(seen: RedisSeen, { answer, ms }: Ended, restMs: number): boolean {
  const isRefused = answer === undefined || answer.status >= 500
  if (isRefused) seen.unaffected = false
  seen.answers++
  seen.slowestMs = Math.max(seen.slowestMs, ms)
  if (ms - restMs > seen.limitMs) seen.slow++
  if (isRefused && !(answer && isClear(answer))) seen.unclear++
  return isRefused
}

const isClear = (answer: NonNullable<Ended['answer']>): boolean =>
  answer.status === 503 && answer.headers['retry-after'] !== undefined && objectIn(answer)?.statusCode === 503
