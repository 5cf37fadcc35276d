import { setTimeout as sleep } from 'node:timers/promises'
import { lockHeld } from '../errors.ts'
import type { Logger } from '../log.ts'
import { type Held, Lease, Leases, type Terms } from './lease.ts'
import type { RedisLink } from './redis.ts'

/** What a run of `every` is given. */
export interface Run extends Held {
  /** When the period of this run began, in ms since 1970 by Redis' clock; no other run has the same. */
  readonly period: number
}

export interface Every {
  /** Begins no run any more at this worker; one in progress has its signal aborted. Resolves when it has ended. */
  stop(): Promise<void>
}

export interface LocksDeps {
  link: RedisLink
  log: Pick<Logger, 'error' | 'warn'>
  /** Aborted when this worker begins to leave. */
  draining: AbortSignal
  /** How long an idle session lives, in ms. */
  idleMs: number
}

const SHORTEST_TTL_MS = 100
const SHORTEST_PERIOD_MS = 10
/** How long a killed worker keeps others from a run of `every`, unless said otherwise. */
const EVERY_TTL_MS = 10_000
/** How often who waits for a lock asks for it. */
const POLL_MS = 50
const AWAY_PAUSE_MS = 1000
/** Longer periods are asked for now and then all the same: a timer has an end, and Redis' clock may be set. */
const LONGEST_PAUSE_MS = 60_000

/** What runs on one worker of all hosts: all of it through leases in Redis, nothing by the clock of a host. */
export class Locks {
  readonly #deps: LocksDeps
  readonly #leases: Leases
  readonly #held = new Set<Lease>()
  readonly #stops = new Set<AbortController>()
  /** Everything that runs, until it has ended. */
  readonly #work = new Set<Promise<unknown>>()
  #open!: () => void
  readonly #opened = new Promise<void>((resolve) => {
    this.#open = resolve
  })

  constructor(deps: LocksDeps) {
    this.#deps = deps
    this.#leases = new Leases(deps.link, deps.idleMs)
    const { draining } = deps
    draining.addEventListener('abort', () => {
      this.#open()
      for (const stop of this.#stops) stop.abort(draining.reason)
      // Those of requests that are still to be answered may take theirs later on: they are waited for.
      for (const lease of this.#held) lease.abort(draining.reason)
    })
  }

  /** What was asked of `every` begins: not before a release has shown that it can boot. */
  open(): void {
    this.#open()
  }

  /** Resolves when nothing runs any more, or that is too late. */
  async ended(deadlineMs: number): Promise<void> {
    const work = Promise.allSettled(this.#work)
    await Promise.race([work, sleep(deadlineMs, undefined, { ref: false })])
  }

  /**
   * Runs `fn` while no other process of any host holds the lock of this name. It is renewed at every third of `ttlMs`,
   * and free again when `fn` has ended, or `ttlMs` after its worker was killed.
   * @returns what `fn` returns @throws what `fn` throws; HttpError 409 when somebody else held it for all of `waitMs`;
   *   HttpError 503 without Redis
   */
  readonly lock = async <T>(
    name: string,
    ttlMs: number,
    fn: (held: Held) => T | Promise<T>,
    { waitMs = 0 }: { waitMs?: number } = {}
  ): Promise<T> => {
    const terms = {
      key: this.#deps.link.keys.named('lock', name),
      ttlMs: atLeast(SHORTEST_TTL_MS, ttlMs, 'lock: ttlMs')
    }
    const deadline = performance.now() + atLeast(0, waitMs, 'lock: waitMs')
    for (;;) {
      const taken = await this.#leases.take(terms)
      if (taken instanceof Lease) return this.#hold(taken, fn)
      const left = deadline - performance.now()
      if (left <= 0) throw lockHeld()
      await sleep(Math.min(left, taken, POLL_MS * (0.5 + Math.random())))
    }
  }

  /**
   * Runs `fn` here, unless it was run under this name within the last `ttlMs`, by whatever process of any host. When it
   * fails another may try at once; when its worker is killed, `ttlMs` after it began.
   * @returns whether it ran here @throws what `fn` throws; HttpError 503 without Redis
   */
  readonly once = async (name: string, ttlMs: number, fn: (held: Held) => unknown): Promise<boolean> => {
    const terms = {
      key: this.#deps.link.keys.named('once', name),
      ttlMs: atLeast(SHORTEST_TTL_MS, ttlMs, 'once: ttlMs')
    }
    const lease = await this.#leases.take(terms)
    if (!(lease instanceof Lease)) return false
    await this.#tracked(lease, async () => {
      try {
        await fn(lease.held)
        lease.end()
      } catch (error) {
        await lease.release()
        throw error
      }
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
    fn: (run: Run) => unknown,
    { ttlMs = EVERY_TTL_MS }: { ttlMs?: number } = {}
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

  async #repeat(name: string, terms: Terms, fn: (run: Run) => unknown, stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      const pauseMs = await this.#runIfDue(name, terms, fn, stop)
      await sleep(Math.min(pauseMs, LONGEST_PAUSE_MS), undefined, { signal: stop }).catch(() => {})
    }
  }

  /** @returns how many ms to wait before the next run may be due */
  async #runIfDue(name: string, terms: Terms, fn: (run: Run) => unknown, stop: AbortSignal): Promise<number> {
    const { link, log } = this.#deps
    try {
      const lease = await this.#leases.take(terms)
      if (!(lease instanceof Lease)) return lease
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

  #hold<T>(lease: Lease, fn: (run: Run) => T | Promise<T>): Promise<T> {
    lease.keep()
    return this.#tracked(lease, async () => {
      try {
        return await fn(lease.held)
      } finally {
        await lease.release()
      }
    })
  }

  async #tracked<T>(lease: Lease, run: () => Promise<T>): Promise<T> {
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
