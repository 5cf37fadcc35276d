import type { RedisConnection } from '../../../state/redis/redis-connection.ts'

export interface Count {
  /** Requests of the key in this window, of all workers and hosts as far as known. */
  current: number
  /** What is left of the window, in ms. */
  ttl: number
}
type Answer = (error: Error | null, count?: Count) => void

interface Entry {
  /** Counted here. */
  own: number
  /** Of these, Redis knows. */
  told: number
  /** Counted elsewhere, as Redis last said. */
  others: number
}

/** Of a route's options; empty for a limit that is not of a route. */
interface RouteInfo {
  method?: string | string[]
  url?: string
}

const TELL_MS = 500
/** What is so small a part of the limit stays here: most clients never ask so much that anybody must know. */
const UNTOLD = 1 / 20
/** Keys of one window; past it the oldest is forgotten, so that a crowd of addresses costs memory, but only so much. */
const MAX_KEYS = 20_000

/**
 * Counts requests by key in fixed windows that begin at the same moment everywhere. It counts here and, from a twentieth
 * of the limit on, tells Redis every half second what was counted and hears what others did: no request waits for it.
 * Without Redis it goes on with its own count. In the form that @fastify/rate-limit asks for.
 */
export class RateStore {
  readonly redis: RedisConnection
  #window = 0
  #entries = new Map<string, Entry>()
  #waiting = new Set<string>()
  #timer: NodeJS.Timeout | undefined

  constructor(redis: RedisConnection) {
    this.redis = redis
  }

  /** Counts one. */
  incr(key: string, answer: Answer, windowMs: number, max: number): void {
    const now = Date.now()
    const window = Math.floor(now / windowMs)
    if (window !== this.#window) this.#begin(window)
    const entry = this.#entryOf(key)
    entry.own++
    if (entry.own > max * UNTOLD) {
      this.#waiting.add(key)
      this.#timer ??= setTimeout(() => void this.#tell(windowMs), TELL_MS).unref()
    }
    answer(null, { current: entry.own + entry.others, ttl: (window + 1) * windowMs - now })
  }

  /** For a route with a limit of its own: what requests of other methods at the same URL do is not counted there. */
  child({ routeInfo: { method = '', url = '' } }: { routeInfo: RouteInfo }): ExactRateStore {
    // Fastify makes the HEAD route of a GET: both methods together have the limit.
    const methods = [method].flat().map((one) => (one === 'HEAD' ? 'GET' : one))
    return new ExactRateStore(this.redis, `${methods.join()}:${url}`)
  }

  #begin(window: number): void {
    this.#window = window
    this.#entries = new Map()
    this.#waiting.clear()
  }

  #entryOf(key: string): Entry {
    const known = this.#entries.get(key)
    if (known) return known
    if (this.#entries.size >= MAX_KEYS) this.#entries.delete(this.#entries.keys().next().value!)
    const entry = { own: 0, told: 0, others: 0 }
    this.#entries.set(key, entry)
    return entry
  }

  /** In one turn, so that it is one pipeline. What gets lost on the way is not told again: better too few than too many. */
  async #tell(windowMs: number): Promise<void> {
    const { redis } = this
    const entries = this.#entries
    const told = [...this.#waiting].map(async (key) => {
      const entry = entries.get(key)
      if (!entry) return
      const by = entry.own - entry.told
      entry.told = entry.own
      const total = await count(redis, `${key}:${this.#window}`, by, windowMs)
      if (total !== undefined) entry.others = Math.max(entry.others, total - entry.told)
    })
    this.#waiting.clear()
    await Promise.all(told)
    this.#timer = undefined
  }
}

/** For limits that are low: counts every request in Redis before it goes on, and here while Redis is away. */
export class ExactRateStore {
  readonly #redis: RedisConnection
  readonly #name: string
  readonly #fallback: RateStore

  constructor(redis: RedisConnection, name: string) {
    this.#redis = redis
    this.#name = name
    this.#fallback = new RateStore(redis)
  }

  incr(key: string, answer: Answer, windowMs: number, max: number): void {
    const now = Date.now()
    const window = Math.floor(now / windowMs)
    void count(this.#redis, `${this.#name}:${key}:${window}`, 1, windowMs).then((current) => {
      if (current === undefined) this.#fallback.incr(`${this.#name}:${key}`, answer, windowMs, max)
      else answer(null, { current, ttl: (window + 1) * windowMs - now })
    })
  }

  child(): never {
    throw new Error('a limit of a route has none below it')
  }
}

/** @returns all that was counted, undefined when Redis does not say */
async function count(redis: RedisConnection, name: string, by: number, windowMs: number): Promise<number | undefined> {
  const key = redis.keys.of(`rate:${name}`)
  // Twice the window: other hosts' clocks may be late.
  const [total] = await Promise.allSettled([redis.client.incrby(key, by), redis.client.pexpire(key, 2 * windowMs)])
  return total.status === 'fulfilled' ? total.value : undefined
}
