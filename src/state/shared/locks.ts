import { setTimeout as sleep } from 'node:timers/promises'
import { lockHeld } from '../../common/errors.ts'
import type { Logger } from '../../common/log.ts'
import type { RedisConnection } from '../redis/redis-connection.ts'
import { type Claim, Lease, type LeaseGrant, Leases, type LeaseTerms } from './leases.ts'
import { LockWaiters } from './lock-waiters.ts'

/** What a run of `every` is given. */
export interface PeriodicRun extends LeaseGrant {
  /** When the period of this run began, in ms since 1970 by Redis' clock. Unless that is set back, no other run has the same. */
  readonly period: number
}

export interface Every {
  /** Begins no run any more at this worker; one in progress has its signal aborted. Resolves when it has ended. */
  stop(): Promise<void>
}

export interface LocksDeps {
  link: RedisConnection
  log: Pick<Logger, 'error' | 'warn' | 'info'>
  /** Aborted when this worker starts draining. */
  draining: AbortSignal
}

const SHORTEST_TTL_MS = 100
const SHORTEST_PERIOD_MS = 10
/** How long a killed worker blocks the work of `once` and the runs of `every`, unless the caller says otherwise. */
const DEFAULT_LEASE_MS = 10_000
/** How often the first waiter asks for a lock. Each waiter in front of another makes that one ask more seldom. */
const POLL_MS = 20
const MAX_POLL_MS = 250
const AWAY_PAUSE_MS = 1000
/** Longer periods are asked for now and then all the same: a timer has an end, and Redis' clock may be set. */
const LONGEST_PAUSE_MS = 60_000

/** What runs on one worker of all hosts: all of it through leases in Redis, nothing by the clock of a host. */
export class Locks {
  readonly #deps: LocksDeps
  readonly #leases: Leases
  readonly #held = new Set<Lease>()
  readonly #waiters = new LockWaiters()
  readonly #stops = new Set<AbortController>()
  /** Everything that runs, until it has ended. */
  readonly #work = new Set<Promise<unknown>>()
  #open!: () => void
  readonly #opened = new Promise<void>((resolve) => {
    this.#open = resolve
  })

  constructor(deps: LocksDeps) {
    this.#deps = deps
    this.#leases = new Leases(deps.link, deps.log)
    const { draining } = deps
    draining.addEventListener('abort', () => {
      this.#open()
      for (const stop of this.#stops) stop.abort(draining.reason)
      for (const lease of this.#held) lease.abort(draining.reason)
    })
  }

  /** What was asked of `every` begins: not before a release has shown that it can boot. */
  open(): void {
    this.#open()
  }

  /** Resolves when nothing runs any more and what has run is recorded, or after `deadlineMs`. */
  async ended(deadlineMs: number): Promise<void> {
    const finish = async () => {
      while (this.#work.size > 0) await Promise.allSettled(this.#work)
    }
    await Promise.race([finish(), sleep(deadlineMs, undefined, { ref: false })])
  }

  /**
   * Runs `fn` while no other process of any host holds the lock of this name. The lock is renewed at every third of
   * `ttlMs`. It is free again when `fn` has ended, or `ttlMs` after its worker was killed.
   * @param options `waitMs`: how long to wait for the lock, default 0. Waiters of all hosts get it in the order in which
   *   they came
   * @returns what `fn` returns @throws what `fn` throws; HttpError 409 when the lock was held, or others waited for it, for
   *   all of `waitMs`; HttpError 503 without Redis
   */
  readonly lock = async <T>(
    name: string,
    ttlMs: number,
    fn: (held: LeaseGrant) => T | Promise<T>,
    { waitMs = 0 }: { waitMs?: number } = {}
  ): Promise<T> => {
    const key = this.#deps.link.keys.named('lock', name)
    const claim = this.#leases.claim({
      key,
      ttlMs: atLeast(SHORTEST_TTL_MS, ttlMs, 'lock: ttlMs'),
      waits: atLeast(0, waitMs, 'lock: waitMs') > 0
    })
    const lease = await this.#waitFor(claim, waitMs)
    try {
      return await this.#hold(lease, fn)
    } finally {
      this.#waiters.wakeFirst(key)
    }
  }

  /** @throws HttpError 409 when others had the lock for all of `waitMs`; HttpError 503 without Redis */
  async #waitFor(claim: Claim, waitMs: number): Promise<Lease> {
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

  /**
   * Runs `fn` here, unless a process of any host runs it under this name or has done so within the last `ttlMs`. While it
   * runs, its lease is renewed; only its success refuses others for `ttlMs`. When `fn` fails, another caller may try at
   * once; when its worker is killed, after `leaseMs`.
   * @param options `leaseMs`: default 10 s, and never more than `ttlMs`
   * @returns whether it ran here @throws what `fn` throws; HttpError 503 without Redis
   */
  readonly once = async (
    name: string,
    ttlMs: number,
    fn: (held: LeaseGrant) => unknown,
    { leaseMs = DEFAULT_LEASE_MS }: { leaseMs?: number } = {}
  ): Promise<boolean> => {
    const { link, log } = this.#deps
    const doneMs = atLeast(SHORTEST_TTL_MS, ttlMs, 'once: ttlMs')
    const terms = {
      key: link.keys.named('once', name),
      ttlMs: Math.min(atLeast(SHORTEST_TTL_MS, leaseMs, 'once: leaseMs'), doneMs)
    }
    const lease = await this.#leases.claim(terms).ask()
    if (!(lease instanceof Lease)) return false
    await this.#tracked(lease, async () => {
      try {
        await fn(lease.held)
      } catch (error) {
        await lease.release()
        throw error
      }
      if (lease.isLost)
        log.warn({ once: name }, 'the lease was lost during the run: another worker may have run it too')
      const { soon, settled } = lease.done(doneMs)
      void this.#track(settled)
      await soon
    })
    return true
  }

  /**
   * Runs `fn` again and again: at most once in each period over all processes of all hosts, and never twice at a time.
   * Periods begin at the multiples of `periodMs` since 1970, by Redis' clock; one whose beginning was missed is begun
   * late, one that was missed as a whole is skipped. What `fn` throws is logged. A run whose worker was killed holds
   * others up for `ttlMs`.
   */
  readonly every = (
    name: string,
    periodMs: number,
    fn: (run: PeriodicRun) => unknown,
    { ttlMs = DEFAULT_LEASE_MS }: { ttlMs?: number } = {}
  ): Every => {
    const terms = {
      key: this.#deps.link.keys.named('every', name),
      periodMs: atLeast(SHORTEST_PERIOD_MS, periodMs, 'every: periodMs'),
      ttlMs: atLeast(SHORTEST_TTL_MS, ttlMs, 'every: ttlMs')
    }
    const stop = new AbortController()
    if (this.#deps.draining.aborted) stop.abort()
    this.#stops.add(stop)
    const stopped = this.#track(this.#opened.then(() => this.#repeat(name, terms, fn, stop.signal)))
    return {
      stop: () => {
        this.#stops.delete(stop)
        stop.abort()
        return stopped
      }
    }
  }

  async #repeat(name: string, terms: LeaseTerms, fn: (run: PeriodicRun) => unknown, stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      const pauseMs = await this.#runIfDue(name, terms, fn, stop)
      await sleep(Math.min(pauseMs, LONGEST_PAUSE_MS), undefined, { signal: stop }).catch(() => {})
    }
  }

  /** @returns how many ms to wait before the next run may be due */
  async #runIfDue(
    name: string,
    terms: LeaseTerms,
    fn: (run: PeriodicRun) => unknown,
    stop: AbortSignal
  ): Promise<number> {
    const { link, log } = this.#deps
    try {
      const lease = await this.#leases.claim(terms).ask()
      if (!(lease instanceof Lease)) return lease.retryMs
      if (stop.aborted) {
        await lease.giveBack()
        return 0
      }
      const abort = () => lease.abort(stop.reason)
      stop.addEventListener('abort', abort)
      await this.#hold(lease, fn).catch((error: unknown) => {
        log[lease.held.signal.aborted ? 'warn' : 'error']({ err: error, every: name }, 'a run failed')
      })
      stop.removeEventListener('abort', abort)
      return 0
    } catch (error) {
      // While Redis is away the log says so already.
      if (link.up) log.warn({ err: error, every: name }, 'Redis did not say whether a run is due')
      return AWAY_PAUSE_MS
    }
  }

  #hold<T>(lease: Lease, fn: (run: PeriodicRun) => T | Promise<T>): Promise<T> {
    return this.#tracked(lease, async () => {
      try {
        return await fn(lease.held)
      } finally {
        await lease.release()
      }
    })
  }

  async #tracked<T>(lease: Lease, run: () => Promise<T>): Promise<T> {
    const { draining } = this.#deps
    if (draining.aborted) lease.abort(draining.reason)
    this.#held.add(lease)
    try {
      return await this.#track(run())
    } finally {
      this.#held.delete(lease)
    }
  }

  #track<T>(work: Promise<T>): Promise<T> {
    this.#work.add(work)
    const forget = () => this.#work.delete(work)
    work.then(forget, forget)
    return work
  }
}

function atLeast(least: number, value: number, what: string): number {
  if (Number.isSafeInteger(value) && value >= least) return value
  throw new RangeError(`${what} is a whole number of milliseconds, ${least} or more, not ${value}`)
}
