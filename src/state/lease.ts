import { randomUUID } from 'node:crypto'
import { LeaseLostError } from '../errors.ts'
import { RETRY_MS, type RedisClient, type RedisLink } from './redis.ts'

/**
 * A lease is a hash without a TTL of its own in what counts: `until` is compared with Redis' clock, so the clocks of the
 * hosts do not matter; the key itself lives longer, so that a full Redis evicts sessions before it. The fence is the time
 * in ms, or one more than the last: it grows also when Redis has lost what it last wrote.
 */
const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)`

/**
 * Takes the lease when nobody has it, and when its period has none yet. To ask again with the same token is the same
 * lease, its time begun anew. Answers { fence, period }, or { 0, ms until it is worth asking again }.
 */
const TAKE = `${NOW}
local token, ttl, period = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local holder, ends, fence, last = unpack(redis.call('HMGET', KEYS[1], 'token', 'until', 'fence', 'period'))
if holder ~= token then
  local left = (tonumber(ends) or 0) - now
  local start = 0
  if period > 0 then
    start = now - now % period
    local ahead = start + period - now
    if left > 0 then return {0, math.min(left, ahead)} end
    last = tonumber(last) or -1
    if last >= start then return {0, last + period - now} end
  end
  if left > 0 then return {0, left} end
  fence, last = math.max(now, (tonumber(fence) or 0) + 1), start
end
redis.call('HSET', KEYS[1], 'token', token, 'until', now + ttl, 'fence', fence, 'period', last)
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return {tonumber(fence), tonumber(last)}`

const RENEW = `${NOW}
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'until', now + ARGV[2])
return redis.call('PEXPIRE', KEYS[1], ARGV[3])`

/** Also forgets the period, when nothing has run in it. */
const RELEASE = `
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
return redis.call('HDEL', KEYS[1], 'token', 'until', unpack(ARGV, 2))`

type Client = RedisClient & {
  musterTake(key: string, token: string, ttl: number, period: number, life: number): Promise<[number, number]>
  musterRenew(key: string, token: string, ttl: number, life: number): Promise<number>
  musterRelease(key: string, token: string, ...more: 'period'[]): Promise<number>
}

/** What a function is given while it is the only one that runs under its name. */
export interface Held {
  /**
   * Fencing token, higher than that of everybody before: a process that was paused can outlive its lock without knowing,
   * and who stores what it writes can refuse a token that is lower than one seen already.
   */
  readonly fence: number
  /** Aborted when the lock is lost (a LeaseLostError is the reason), or this worker begins to leave. */
  readonly signal: AbortSignal
}

/** What is to be leased; all in ms. */
export interface Terms {
  key: string
  ttlMs: number
  /** At most one lease in each period, which begin at the multiples of it since 1970. Default: no periods. */
  periodMs?: number
}

/** Leases over one connection. */
export class Leases {
  readonly #link: RedisLink
  readonly #idleMs: number

  /** @param idleMs how long an idle session lives: the key of a lease outlives those, see above */
  constructor(link: RedisLink, idleMs: number) {
    this.#link = link
    this.#idleMs = idleMs
    for (const [name, lua] of Object.entries({ musterTake: TAKE, musterRenew: RENEW, musterRelease: RELEASE })) {
      link.client.defineCommand(name, { numberOfKeys: 1, lua })
    }
  }

  /** @returns the lease, or how many ms to wait before it is worth asking again @throws HttpError 503 without Redis */
  async take({ key, ttlMs, periodMs = 0 }: Terms): Promise<Lease | number> {
    const client = this.#link.client as Client
    const token = randomUUID()
    const lifeMs = ttlMs + periodMs + this.#idleMs
    let askedAt = 0
    const actions = {
      renew: () => client.musterRenew(key, token, ttlMs, lifeMs),
      release: (...more: 'period'[]) => this.#link.insist(() => client.musterRelease(key, token, ...more))
    }
    try {
      const [fence, more] = await this.#link.insist(() => {
        askedAt = performance.now()
        return client.musterTake(key, token, ttlMs, periodMs, lifeMs)
      })
      return fence === 0 ? more : new Lease({ ...actions, fence, period: more, ttlMs, askedAt })
    } catch (error) {
      // It may have been taken all the same, for nobody.
      void actions.release('period').catch(() => {})
      throw error
    }
  }
}

interface LeaseDeps {
  fence: number
  period: number
  ttlMs: number
  /** When it was last asked for, in ms of `performance.now()`: Redis counts from later on, so ours ends first. */
  askedAt: number
  renew(): Promise<number>
  release(...more: 'period'[]): Promise<number>
}

/** A lease of ours, until its time is over. */
export class Lease {
  readonly held: Held & { readonly period: number }
  readonly #deps: LeaseDeps
  readonly #aborting = new AbortController()
  #expiry: NodeJS.Timeout | undefined
  #renewal: NodeJS.Timeout | undefined
  #over = false
  #lost = false

  constructor(deps: LeaseDeps) {
    this.held = { fence: deps.fence, period: deps.period, signal: this.#aborting.signal }
    this.#deps = deps
    this.#lasts(deps.askedAt)
  }

  /** Tells who holds it that it should come to an end. */
  abort(reason: unknown): void {
    this.#aborting.abort(reason)
  }

  /** Renews it at every third of its time from now on. */
  keep(): void {
    this.#renewIn(this.#deps.ttlMs / 3)
  }

  /** It is not looked after any more; others can have it when its time is over. */
  end(): void {
    this.#over = true
    clearTimeout(this.#expiry)
    clearTimeout(this.#renewal)
  }

  /** Others can have it at once; when Redis is away, when its time is over. */
  async release(): Promise<void> {
    this.end()
    if (!this.#lost) await this.#deps.release().catch(() => {})
  }

  /** The same when nothing was done with it: the period is to be had again as well. */
  async giveBack(): Promise<void> {
    this.end()
    await this.#deps.release('period').catch(() => {})
  }

  #lasts(askedAt: number): void {
    clearTimeout(this.#expiry)
    const leftMs = askedAt + this.#deps.ttlMs - performance.now()
    this.#expiry = setTimeout(() => this.#lose(), Math.min(leftMs, 2 ** 31 - 1))
  }

  #lose(): void {
    this.#lost = true
    this.end()
    this.abort(new LeaseLostError())
  }

  #renewIn(ms: number): void {
    if (!this.#over) this.#renewal = setTimeout(() => void this.#renew(), ms)
  }

  async #renew(): Promise<void> {
    const askedAt = performance.now()
    try {
      const ours = await this.#deps.renew()
      if (this.#over) return
      if (!ours) return this.#lose()
      this.#lasts(askedAt)
      this.keep()
    } catch {
      this.#renewIn(RETRY_MS)
    }
  }
}
