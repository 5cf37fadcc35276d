import { randomUUID } from 'node:crypto'
import type { Logger } from '../../common/log.ts'
import type { RedisClient, RedisConnection } from '../redis/redis-connection.ts'
import type { Keys } from '../redis/redis-keys.ts'
import { retryUntilTimeout } from '../redis/retry.ts'
import { Lease, type LeaseCommands } from './lease.ts'
import { LEASE_SCRIPTS } from './lease-scripts.ts'
import { type LeaseWrite, LeaseWrites } from './lease-writes.ts'

/** The keys of the scripts of a lease. */
export type LeaseKeys = [hash: string, ends: string, queue: string, asked: string]
type Command<Args extends unknown[], Reply> = (...args: [...LeaseKeys, name: string, token: string, ...Args]) => Reply
type Client = RedisClient & {
  musterTake: Command<[ttlMs: number, periodMs: number, ticket?: number], Promise<[number, number, number, number]>>
  musterRenew: Command<[periodMs: number], Promise<number>>
  musterRelease: Command<[periodMs: number, forgetPeriod: 0 | 1], Promise<number>>
  musterDone: Command<[ttlMs: number], Promise<number>>
}

/** A grant whose reply took longer than this part of the TTL is not used: Redis is asked again. */
const MAX_GRANT_PART = 0.5

/** A lease that a caller asks for. All times are in ms. */
export interface LeaseTerms {
  key: string
  ttlMs: number
  /** At most one lease is granted in each period. Periods begin at the multiples of this time since 1970. Default: no periods. */
  periodMs?: number
  /** Whether the caller keeps its place in the queue while it is refused. */
  waits?: boolean
}

/** The answer where a lease is not granted. */
export interface Refusal {
  /** Time until the current lease or period ends, in ms. */
  retryMs: number
  /** Most waiters that are ahead in the queue. */
  ahead: number
}

/** @param name of the lease */
export function leaseKeys(keys: Keys, name: string): LeaseKeys {
  const hash = keys.of('leases')
  const helperKeys = ['ends', `queue:${name}`, `asked:${name}`].map((helper) => `{${hash}}:${helper}`)
  return [hash, ...(helperKeys as [string, string, string])]
}

/** The leases of one connection to Redis. */
export class Leases {
  readonly #connection: RedisConnection
  readonly #writes: LeaseWrites

  constructor(connection: RedisConnection, log: Pick<Logger, 'info' | 'warn'>) {
    this.#connection = connection
    this.#writes = new LeaseWrites(connection, log)
    for (const [name, lua] of Object.entries(LEASE_SCRIPTS)) {
      connection.writes.defineCommand(name, { numberOfKeys: 4, lua })
    }
  }

  claim(terms: LeaseTerms): LeaseClaim {
    return new LeaseClaim(this.#connection, this.#writes, terms)
  }
}

/** One caller's claim to a lease. Its token identifies the caller to Redis. */
export class LeaseClaim implements LeaseCommands {
  readonly terms: LeaseTerms
  readonly #connection: RedisConnection
  readonly #client: Client
  readonly #writes: LeaseWrites
  /** Keys, name and token: the first arguments of every script. */
  readonly #args: [...LeaseKeys, string, string]
  /** The place in the queue; 0 before there is one. */
  #ticket = 0

  constructor(connection: RedisConnection, writes: LeaseWrites, terms: LeaseTerms) {
    this.terms = terms
    this.#connection = connection
    this.#client = connection.writes as Client
    this.#writes = writes
    this.#args = [...leaseKeys(connection.keys, terms.key), terms.key, randomUUID()]
  }

  get ttlMs(): number {
    return this.terms.ttlMs
  }

  /** @throws HttpError 503 when Redis did not answer within REDIS_TIMEOUT, or so late that no grant could be used */
  async ask(): Promise<Lease | Refusal> {
    let askedAt = 0
    try {
      const [fence, more, ticket, ahead] = await retryUntilTimeout(this.#connection, async () => {
        askedAt = performance.now()
        const reply = await this.#take()
        this.#assertUsable(reply[0] > 0, performance.now() - askedAt)
        return reply
      })
      if (fence > 0) return new Lease(this, { fence, period: more, askedAt })
      this.#ticket = ticket
      return { retryMs: more, ahead }
    } catch (error) {
      // Redis may have granted the lease, or may grant it later: no caller would hold it. If Redis was known to be away, nothing
      // was sent.
      if (askedAt > 0) this.release({ forgetPeriod: true })
      throw error
    }
  }

  renew(): Promise<number> {
    return this.#client.musterRenew(...this.#args, this.#periodMs)
  }

  /** Frees the lease, if it is granted, and gives up the place in the queue. */
  release({ forgetPeriod = false } = {}): LeaseWrite {
    const giveUpAfterMs = this.ttlMs + 2 * this.#connection.timeoutMs
    return this.#writes.send(this.terms.key, giveUpAfterMs, () =>
      this.#client.musterRelease(...this.#args, this.#periodMs, forgetPeriod ? 1 : 0)
    )
  }

  /** Turns the lease into a record that the work is done, which refuses every caller for `ttlMs`. */
  markDone(ttlMs: number): LeaseWrite {
    return this.#writes.send(this.terms.key, ttlMs, () => this.#client.musterDone(...this.#args, ttlMs))
  }

  #take(): Promise<[fence: number, more: number, ticket: number, ahead: number]> {
    const args = [...this.#args, this.ttlMs, this.#periodMs] as const
    return this.terms.waits ? this.#client.musterTake(...args, this.#ticket) : this.#client.musterTake(...args)
  }

  /** A lease runs from an unknown moment between question and answer. Asked again with the same token, Redis starts it anew. */
  #assertUsable(isGranted: boolean, tookMs: number): void {
    if (!isGranted || tookMs <= MAX_GRANT_PART * this.ttlMs) return
    throw new Error(`Redis took ${Math.round(tookMs)} ms to grant a lease of ${this.ttlMs} ms`)
  }

  get #periodMs(): number {
    return this.terms.periodMs ?? 0
  }
}
