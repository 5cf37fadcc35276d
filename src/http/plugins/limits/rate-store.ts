import type { RedisConnection } from '../../../state/redis/redis-connection.ts'

export interface RateCount {
  /** Requests of the key in this window, as far as known from all workers and hosts. */
  current: number
  /** The rest of the window, in ms. */
  ttl: number
}
type Callback = (error: Error | null, count?: RateCount) => void

/** The counts of one key in the current window. */
interface Entry {
  /** Requests that this process counted. */
  local: number
  /** The part of `local` that was sent to Redis. */
  synced: number
  /** Requests of other processes, as of the last answer of Redis. */
  remote: number
}

const SYNC_MS = 500
/** Below this part of the limit a count stays in the process: most clients never send enough requests to matter. */
const SYNC_FROM = 1 / 20
/** Keys per window. Beyond this the oldest is dropped, so that many addresses cost a limited amount of memory. */
const MAX_KEYS = 20_000

/**
 * Counts requests by key in fixed windows that begin at the same time in every process. A request never waits for Redis: from
 * a twentieth of the limit on, the store sends its counts every half second and learns those of other processes. While Redis
 * is away it uses its own counts. The interface is that of a store of @fastify/rate-limit.
 */
export class RateStore {
  readonly redis: RedisConnection
  #window = 0
  #entries = new Map<string, Entry>()
  /** Keys to sync next. */
  #pending = new Set<string>()
  #timer: NodeJS.Timeout | undefined

  constructor(redis: RedisConnection) {
    this.redis = redis
  }

  /** Counts one request. */
  incr(key: string, callback: Callback, windowMs: number, max: number): void {
    const now = Date.now()
    const window = Math.floor(now / windowMs)
    if (window !== this.#window) this.#startWindow(window)
    const entry = this.#entryOf(key)
    entry.local++
    if (entry.local > max * SYNC_FROM) {
      this.#pending.add(key)
      this.#timer ??= setTimeout(() => void this.#sync(windowMs), SYNC_MS).unref()
    }
    callback(null, { current: entry.local + entry.remote, ttl: (window + 1) * windowMs - now })
  }

  /** Creates the store of a route with its own limit. Routes have separate counts. */
  child({ routeName }: { routeName: string }): ExactRateStore {
    return new ExactRateStore(this.redis, routeName)
  }

  #startWindow(window: number): void {
    this.#window = window
    this.#entries = new Map()
    this.#pending.clear()
  }

  #entryOf(key: string): Entry {
    const known = this.#entries.get(key)
    if (known) return known
    if (this.#entries.size >= MAX_KEYS) this.#entries.delete(this.#entries.keys().next().value!)
    const entry = { local: 0, synced: 0, remote: 0 }
    this.#entries.set(key, entry)
    return entry
  }

  /** Sends all pending counts in one pipeline. Lost counts are not sent again: counting too few is better than too many. */
  async #sync(windowMs: number): Promise<void> {
    const { redis } = this
    const entries = this.#entries
    const window = this.#window
    const syncs = [...this.#pending].map(async (key) => {
      const entry = entries.get(key)
      if (!entry) return
      const by = entry.local - entry.synced
      entry.synced = entry.local
      const total = await increment(redis, `${key}:${window}`, by, windowMs)
      if (total !== undefined) entry.remote = Math.max(entry.remote, total - entry.synced)
    })
    this.#pending.clear()
    await Promise.all(syncs)
    this.#timer = undefined
  }
}

/** For low limits: counts every request in Redis before the request continues, and in the process while Redis is away. */
export class ExactRateStore {
  readonly #redis: RedisConnection
  readonly #name: string
  readonly #fallback: RateStore

  constructor(redis: RedisConnection, name: string) {
    this.#redis = redis
    this.#name = name
    this.#fallback = new RateStore(redis)
  }

  incr(key: string, callback: Callback, windowMs: number, max: number): void {
    const now = Date.now()
    const window = Math.floor(now / windowMs)
    void increment(this.#redis, `${this.#name}:${key}:${window}`, 1, windowMs).then((current) => {
      if (current === undefined) this.#fallback.incr(`${this.#name}:${key}`, callback, windowMs, max)
      else callback(null, { current, ttl: (window + 1) * windowMs - now })
    })
  }

  child(): never {
    throw new Error('The rate limit of a route cannot have a child')
  }
}

/** @returns the new total; undefined when Redis did not answer */
async function increment(
  redis: RedisConnection,
  name: string,
  by: number,
  windowMs: number
): Promise<number | undefined> {
  const key = redis.keys.of(`rate:${name}`)
  // Twice the window, because the clocks of other hosts may be behind.
  const [total] = await Promise.allSettled([redis.client.incrby(key, by), redis.client.pexpire(key, 2 * windowMs)])
  return total.status === 'fulfilled' ? total.value : undefined
}
