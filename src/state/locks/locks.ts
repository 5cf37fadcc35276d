import { lockHeld, noRedis } from '../../common/errors.ts'
import type { Logger } from '../../common/log.ts'
import type { RedisConnection } from '../redis/redis-connection.ts'
import { Lease, type LeaseGrant } from './lease.ts'
import { LeaseRuns, type PeriodicRun } from './lease-runs.ts'
import { type LeaseClaim, Leases } from './leases.ts'
import { LockWaiters } from './lock-waiters.ts'
import { type Every, PeriodicRuns } from './periodic-runs.ts'

export interface LocksDeps {
  connection: RedisConnection
  log: Pick<Logger, 'error' | 'warn' | 'info'>
  /** Aborted when this worker starts to drain. */
  draining: AbortSignal
}

const MIN_TTL_MS = 100
const MIN_PERIOD_MS = 10
/** Default time for which a killed worker blocks the work of `once` and the runs of `every`, in ms. */
const DEFAULT_LEASE_MS = 10_000
/** The pause between questions of the first waiter for a lock, in ms. A waiter further back pauses longer. */
const POLL_MS = 20
const MAX_POLL_MS = 250

/** Functions that run on one worker of all hosts, by leases in Redis. No clock of a host is involved. */
export class Locks {
  readonly #connection: RedisConnection
  readonly #log: LocksDeps['log']
  readonly #leases: Leases
  readonly #runs: LeaseRuns
  readonly #periodic: PeriodicRuns
  readonly #waiters = new LockWaiters()

  constructor({ connection, log, draining }: LocksDeps) {
    this.#connection = connection
    this.#log = log
    this.#leases = new Leases(connection, log)
    this.#runs = new LeaseRuns(draining)
    this.#periodic = new PeriodicRuns({ connection, log, draining, leases: this.#leases, runs: this.#runs })
  }

  /** Lets the jobs of {@link every} run from now on. */
  open(): void {
    this.#periodic.open()
  }

  /** Resolves when no function runs and every end is recorded, or after `deadlineMs`. */
  ended(deadlineMs: number): Promise<void> {
    return this.#runs.ended(deadlineMs)
  }

  /**
   * Runs `fn` while no other process of any host holds the lock with this name. The lock is renewed at every third of `ttlMs`. It
   * is free again when `fn` has ended, or `ttlMs` after its worker was killed.
   * @param name 1 to 64 characters of a-z, 0-9, ".", "_" and "-"
   * @param ttlMs at least 100
   * @param options `waitMs`: how long to wait for the lock, default 0: not at all. Waiters of all hosts get the lock in the order
   *   of their calls
   * @returns the result of `fn`
   * @throws the error of `fn`; HttpError 409 LOCK_HELD when the lock did not become free within `waitMs`; HttpError 503 without
   *   Redis; TypeError or RangeError for an invalid argument
   */
  readonly lock = async <T>(
    name: string,
    ttlMs: number,
    fn: (grant: LeaseGrant) => T | Promise<T>,
    { waitMs = 0 }: { waitMs?: number } = {}
  ): Promise<T> => {
    const key = this.#connection.keys.named('lock', name)
    const claim = this.#leases.claim({
      key,
      ttlMs: atLeast(MIN_TTL_MS, ttlMs, 'lock: ttlMs'),
      waits: atLeast(0, waitMs, 'lock: waitMs') > 0
    })
    const lease = await this.#waitFor(claim, waitMs)
    try {
      return await this.#runs.runAndRelease(lease, fn)
    } finally {
      this.#waiters.wakeFirst(key)
    }
  }

  /**
   * Runs `fn` here, unless a process of any host runs it under this name or has done so within the last `ttlMs`. The lease is
   * renewed while `fn` runs; only its success refuses other callers for `ttlMs`. After a failure of `fn` another caller may try
   * at once, and `leaseMs` after its worker was killed.
   * @param name 1 to 64 characters of a-z, 0-9, ".", "_" and "-"
   * @param ttlMs at least 100
   * @param options `leaseMs`: at least 100, at most `ttlMs`, default 10 s
   * @returns whether `fn` ran here
   * @throws the error of `fn`; HttpError 503 without Redis; TypeError or RangeError for an invalid argument
   */
  readonly once = async (
    name: string,
    ttlMs: number,
    fn: (grant: LeaseGrant) => unknown,
    { leaseMs = DEFAULT_LEASE_MS }: { leaseMs?: number } = {}
  ): Promise<boolean> => {
    const doneMs = atLeast(MIN_TTL_MS, ttlMs, 'once: ttlMs')
    const terms = {
      key: this.#connection.keys.named('once', name),
      ttlMs: Math.min(atLeast(MIN_TTL_MS, leaseMs, 'once: leaseMs'), doneMs)
    }
    const lease = await this.#leases.claim(terms).ask()
    if (!(lease instanceof Lease)) return false
    await this.#runs.run(lease, async () => {
      try {
        await fn(lease.grant)
      } catch (error) {
        await lease.release()
        throw error
      }
      if (lease.isLost) this.#log.warn({ once: name }, 'lease lost during a run: another worker may have run it too')
      const { soon, settled } = lease.markDone(doneMs)
      void this.#runs.track(settled)
      await soon
    })
    return true
  }

  /**
   * Runs `fn` again and again: at most once in each period over all processes of all hosts, and never twice at a time. Periods
   * begin at the multiples of `periodMs` since 1970, by Redis' clock. A run that could not start with its period starts late; a
   * period that was missed completely is skipped. Errors of `fn` are logged.
   * @param name 1 to 64 characters of a-z, 0-9, ".", "_" and "-"
   * @param periodMs at least 10
   * @param options `ttlMs`: how long a run blocks other workers after its own was killed, at least 100, default 10 s
   * @throws TypeError or RangeError for an invalid argument; HttpError 501 with REDIS=off
   */
  readonly every = (
    name: string,
    periodMs: number,
    fn: (run: PeriodicRun) => unknown,
    { ttlMs = DEFAULT_LEASE_MS }: { ttlMs?: number } = {}
  ): Every => {
    if (this.#connection.isOff) throw noRedis()
    const terms = {
      key: this.#connection.keys.named('every', name),
      periodMs: atLeast(MIN_PERIOD_MS, periodMs, 'every: periodMs'),
      ttlMs: atLeast(MIN_TTL_MS, ttlMs, 'every: ttlMs')
    }
    return this.#periodic.start({ name, terms, fn })
  }

  /** @throws HttpError 409 when the lock did not become free within `waitMs`; HttpError 503 without Redis */
  async #waitFor(claim: LeaseClaim, waitMs: number): Promise<Lease> {
    const { key } = claim.terms
    const deadline = performance.now() + waitMs
    const waiter = this.#waiters.join(key)
    try {
      for (;;) {
        const answer = await claim.ask()
        if (answer instanceof Lease) return answer
        const leftMs = deadline - performance.now()
        if (leftMs <= 0) {
          if (waitMs > 0) claim.release()
          throw lockHeld()
        }
        const pollMs = Math.min(POLL_MS * (1 + answer.ahead), MAX_POLL_MS) * (0.5 + Math.random())
        await waiter.pause(Math.min(leftMs, answer.retryMs, pollMs))
      }
    } finally {
      this.#waiters.leave(key, waiter)
    }
  }
}

function atLeast(min: number, value: number, name: string): number {
  if (Number.isSafeInteger(value) && value >= min) return value
  throw new RangeError(`${name} must be a whole number of milliseconds, ${min} or more, not ${value}`)
}
