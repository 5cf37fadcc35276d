import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { Redis } from 'ioredis'
import { pino } from 'pino'
import { Locks } from '../../src/state/locks/locks.ts'
import { RedisConnection } from '../../src/state/redis/redis-connection.ts'
import { cleanup } from './cleanup.ts'
import { startRedis } from './redis.ts'

interface Worker {
  locks: Locks
  connection: RedisConnection
  draining: AbortController
  /** The lines that it has logged. */
  lines: { msg: string; level: number; err?: { message: string } }[]
}

/** A Redis, and the parts of workers that locks need. The workers end before Redis does. */
export async function startWorkers(t: TestContext) {
  const workers: Worker[] = []
  cleanup(t, async () => {
    for (const { draining } of workers) draining.abort()
    await Promise.all(workers.map(({ locks }) => locks.ended(10_000)))
    for (const { connection } of workers) connection.stop()
  })
  const redis = await startRedis(t)
  const open = async (url = redis.url, timeoutMs = 5000): Promise<Worker> => {
    const lines: Worker['lines'] = []
    const log = pino({ level: 'info' }, { write: (line) => void lines.push(JSON.parse(line)) })
    const connection = new RedisConnection(url, timeoutMs, log)
    const draining = new AbortController()
    const locks = new Locks({ connection, log, draining: draining.signal })
    const worker = { locks, connection, draining, lines }
    workers.push(worker)
    await connection.start(async () => {})
    locks.open()
    return worker
  }
  return { ...redis, open }
}

/** Reads the lease with this key from Redis; undefined: there is none. Times are in ms. */
export async function storedLease(client: Redis, key: string) {
  const stored = await client.hget('muster:leases', key)
  if (stored === null) return
  const [token = '', ends, ttl, fence, period] = stored.split(' ')
  return { token, ends: Number(ends), ttl: Number(ttl), fence: Number(fence), period: Number(period) }
}

/** Changes every stored time and fence as if Redis' clock had been this much ahead until now. */
export async function setClockBack(client: Redis, ms: number): Promise<void> {
  const script = `
    local ms, stored = tonumber(ARGV[1]), redis.call('HGETALL', KEYS[1])
    local function later(time, by) return string.format('%.0f', tonumber(time) > 0 and time + by or time) end
    for i = 1, #stored, 2 do
      local token, ends, ttl, fence, period = string.match(stored[i + 1], '^(%S+) (%S+) (%S+) (%S+) (%S+)$')
      local changed = token and table.concat({token, later(ends, ms), ttl, later(fence, ms * 1000), later(period, ms)}, ' ')
      redis.call('HSET', KEYS[1], stored[i], changed or later(stored[i + 1], ms * 1000))
    end
    for _, name in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do redis.call('ZINCRBY', KEYS[2], ms, name) end`
  await client.eval(script, 2, 'muster:leases', '{muster:leases}:ends', ms)
}

/** Calls a function this number of times. @returns the results */
export const times = <T>(count: number, call: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => call(i))

/** The error of a caller whose lease is lost. */
export const LOST = { name: 'LeaseLostError', code: 'LEASE_LOST' }

/** A function that must not run. */
export const never = (): never => assert.fail('the function ran')

/** A promise, and the function that resolves it. */
export function gate<T = void>() {
  let open!: (value: T) => void
  const opened = new Promise<T>((resolve) => {
    open = resolve
  })
  return { open, opened }
}

/** A function that runs until the test ends it. `begun` resolves with its argument. */
export function latch<H>() {
  const begin = gate<H>()
  const end = gate<string>()
  const fn = (grant: H) => {
    begin.open(grant)
    return end.opened
  }
  return { fn, begun: begin.opened, end: end.open }
}
