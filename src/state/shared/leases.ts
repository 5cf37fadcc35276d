import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { LeaseLostError } from '../../common/errors.ts'
import type { Logger } from '../../common/log.ts'
import { RETRY_MS, type RedisClient, type RedisConnection } from '../redis/redis-connection.ts'
import { LEASE_SCRIPTS } from './lease-scripts.ts'

type LeaseKeys = [hash: string, ends: string, queue: string, asked: string]
type Command<Args extends unknown[], Reply> = (...args: [...LeaseKeys, name: string, token: string, ...Args]) => Reply
type Client = RedisClient & {
  musterTake: Command<[ttlMs: number, periodMs: number, ticket?: number], Promise<[number, number, number, number]>>
  musterRenew: Command<[periodMs: number], Promise<number>>
  musterRelease: Command<[periodMs: number, forgetPeriod: 0 | 1], Promise<number>>
  musterDone: Command<[ttlMs: number], Promise<number>>
}

/** The part of its TTL for which a holder trusts its lease. The rest is for timers that fire late. */
const TRUSTED = 0.9
/** A grant whose reply took more than this part of the TTL is not used: Redis is asked again. */
const LATEST_GRANT = 0.5
/** The first pause between attempts of what Redis did not acknowledge within REDIS_TIMEOUT; each is twice the one before. */
const PERSIST_MS = 100
const MAX_PERSIST_MS = 1000

/** What a function is given while it is the only one that runs under its name. */
export interface LeaseGrant {
  /**
   * Fencing token: an integer higher than that of every holder before, in microseconds since 1970 unless Redis' clock was
   * set back. A process that was paused can outlive its lock without knowing it, so storage that remembers the highest
   * fence that it has seen can refuse a lower one.
   */
  readonly fence: number
  /**
   * Aborted when the lock is lost (the reason is a LeaseLostError) or this worker starts draining. In a worker that is
   * draining it is aborted from the start.
   */
  readonly signal: AbortSignal
}

/** What is to be leased; all times in ms. */
export interface LeaseTerms {
  key: string
  ttlMs: number
  /** At most one lease in each period. Periods begin at the multiples of it since 1970. Default: no periods. */
  periodMs?: number
  /** Whether the caller keeps its place in the queue while it is refused. */
  waits?: boolean
}

/** Why there is no lease now. */
export interface Refused {
  /** In how many ms a lease or a period ends. */
  retryMs: number
  /** How many other waiters are in front, or fewer. */
  ahead: number
}

/** Leases over one connection. */
export class Leases {
  readonly #link: RedisConnection
  readonly #log: Pick<Logger, 'info' | 'warn'>
  /** Writes that Redis has not acknowledged yet. */
  #pending = 0
  #expired = 0

  constructor(link: RedisConnection, log: Pick<Logger, 'info' | 'warn'>) {
    this.#link = link
    this.#log = log
    for (const [name, lua] of Object.entries(LEASE_SCRIPTS)) link.client.defineCommand(name, { numberOfKeys: 4, lua })
  }

  claim(terms: LeaseTerms): Claim {
    return new Claim(this.#link, this, terms)
  }

  /**
   * Sends a write that may be sent twice until Redis has acknowledged it, or until it is pointless.
   * @param uselessAfterMs how long it is worth trying
   * @returns `soon` resolves when it is acknowledged, or after REDIS_TIMEOUT; `settled` when it is not sent any more
   */
  persist(key: string, uselessAfterMs: number, send: () => Promise<unknown>) {
    const attempt = this.#link.retryUntilTimeout(send)
    const soon = attempt.then(
      () => {},
      () => {}
    )
    return { soon, settled: attempt.catch(() => this.#goOn(key, performance.now() + uselessAfterMs, send)) }
  }

  async #goOn(lease: string, deadline: number, send: () => Promise<unknown>): Promise<void> {
    if (this.#pending++ === 0) {
      this.#log.warn({ lease }, 'Redis has not acknowledged the end of a lease: retrying until the lease expires')
    }
    let acknowledged = false
    for (let pauseMs = PERSIST_MS; !acknowledged && performance.now() < deadline; pauseMs *= 2) {
      await sleep(Math.min(pauseMs, MAX_PERSIST_MS), undefined, { ref: false })
      if (this.#link.away) continue
      acknowledged = await send().then(
        () => true,
        () => false
      )
    }
    if (!acknowledged) this.#expired++
    if (--this.#pending > 0) return
    this.#log.info({ expired: this.#expired }, 'no end of a lease is unacknowledged any more')
    this.#expired = 0
  }
}

/** One caller's wish for a lease. Its token says to Redis who asks. */
export class Claim {
  readonly terms: LeaseTerms
  readonly #link: RedisConnection
  readonly #client: Client
  readonly #leases: Leases
  readonly #token = randomUUID()
  /** Keys, name and token: what every script is given. */
  readonly #args: [...LeaseKeys, string, string]
  /** The place in the queue, 0 before there is one. */
  #ticket = 0

  constructor(link: RedisConnection, leases: Leases, terms: LeaseTerms) {
    this.terms = terms
    this.#link = link
    this.#client = link.client as Client
    this.#leases = leases
    const hash = link.keys.of('leases')
    const beside = (what: string) => `{${hash}}:${what}`
    const { key } = terms
    this.#args = [hash, beside('ends'), beside(`queue:${key}`), beside(`asked:${key}`), key, this.#token]
  }

  /** @throws HttpError 503 when Redis did not answer within REDIS_TIMEOUT, or so late that no grant was of any use */
  async ask(): Promise<Lease | Refused> {
    const { ttlMs, waits } = this.terms
    let askedAt = 0
    try {
      const [fence, more, ticket, ahead] = await this.#link.retryUntilTimeout(async () => {
        askedAt = performance.now()
        const reply = await this.#client.musterTake(
          ...this.#args,
          ttlMs,
          this.#periodMs,
          ...(waits ? ([this.#ticket] as const) : [])
        )
        const tookMs = performance.now() - askedAt
        // Redis counts from some moment in between. Asked again with the same token, it counts anew.
        if (reply[0] > 0 && tookMs > LATEST_GRANT * ttlMs) {
          throw new Error(`Redis took ${Math.round(tookMs)} ms to grant a lease of ${ttlMs} ms`)
        }
        return reply
      })
      if (fence > 0) return new Lease(this, { fence, period: more, askedAt })
      this.#ticket = ticket
      return { retryMs: more, ahead }
    } catch (error) {
      // Redis may have granted it, or will when it gets to it: there is no holder then. While Redis is known to be away,
      // nothing was sent.
      if (askedAt > 0) this.release({ forgetPeriod: true })
      throw error
    }
  }

  renew(): Promise<number> {
    return this.#client.musterRenew(...this.#args, this.#periodMs)
  }

  /** Frees the lease, if it is granted, and gives up the place in the queue. */
  release({ forgetPeriod = false } = {}) {
    return this.#leases.persist(this.terms.key, this.terms.ttlMs + 2 * this.#link.timeoutMs, () =>
      this.#client.musterRelease(...this.#args, this.#periodMs, forgetPeriod ? 1 : 0)
    )
  }

  /** Turns the lease into a record that the work is done, which refuses every caller for `ttlMs`. */
  done(ttlMs: number) {
    return this.#leases.persist(this.terms.key, ttlMs, () => this.#client.musterDone(...this.#args, ttlMs))
  }

  get #periodMs(): number {
    return this.terms.periodMs ?? 0
  }
}

/** A granted lease, renewed at every third of its TTL until it is ended or lost. */
export class Lease {
  readonly held: LeaseGrant & { readonly period: number }
  readonly #claim: Claim
  readonly #ttlMs: number
  readonly #aborting = new AbortController()
  #expiry: NodeJS.Timeout | undefined
  #renewal: NodeJS.Timeout | undefined
  #over = false
  #lost = false

  /** @param grant `askedAt`: when Redis was asked, in ms of `performance.now()`; it counts from a later moment on */
  constructor(claim: Claim, grant: { fence: number; period: number; askedAt: number }) {
    this.held = { fence: grant.fence, period: grant.period, signal: this.#aborting.signal }
    this.#claim = claim
    this.#ttlMs = claim.terms.ttlMs
    this.#lastsSince(grant.askedAt)
  }

  /** Whether Redis did not renew it in time. */
  get isLost(): boolean {
    return this.#lost
  }

  /** Tells the holder to come to an end. */
  abort(reason: unknown): void {
    this.#aborting.abort(reason)
  }

  /** Frees it. Resolves when Redis has acknowledged that, or after REDIS_TIMEOUT: then it is retried in the background. */
  async release(): Promise<void> {
    if (this.#over) return
    this.#end()
    await this.#claim.release().soon
  }

  /** Frees it, and its period too: nothing was done in it. */
  async giveBack(): Promise<void> {
    this.#end()
    await this.#claim.release({ forgetPeriod: true }).soon
  }

  /** Ends it, and refuses every other caller for `ttlMs`: the work is done. See {@link Leases.persist}. */
  done(ttlMs: number) {
    this.#end()
    return this.#claim.done(ttlMs)
  }

  #end(): void {
    this.#over = true
    clearTimeout(this.#expiry)
    clearTimeout(this.#renewal)
  }

  #lose(): void {
    this.#end()
    this.#lost = true
    this.abort(new LeaseLostError())
    // A renewal may still be under way. After this it has nothing to extend.
    this.#claim.release()
  }

  #lastsSince(askedAt: number): void {
    const sinceMs = performance.now() - askedAt
    clearTimeout(this.#expiry)
    this.#expiry = setTimeout(() => this.#lose(), Math.min(TRUSTED * this.#ttlMs - sinceMs, 2 ** 31 - 1))
    this.#renewIn(this.#ttlMs / 3 - sinceMs)
  }

  #renewIn(ms: number): void {
    this.#renewal = setTimeout(() => void this.#renew(), Math.min(ms, 2 ** 31 - 1))
  }

  async #renew(): Promise<void> {
    const askedAt = performance.now()
    try {
      const isOurs = await this.#claim.renew()
      if (this.#over) return
      if (isOurs) this.#lastsSince(askedAt)
      else this.#lose()
    } catch {
      if (!this.#over) this.#renewIn(RETRY_MS)
    }
  }
}
