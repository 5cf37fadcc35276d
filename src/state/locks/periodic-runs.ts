import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from '../../common/log.ts'
import type { RedisConnection } from '../redis/redis-connection.ts'
import { Lease } from './lease.ts'
import type { LeaseRuns, PeriodicRun } from './lease-runs.ts'
import type { Leases, LeaseTerms } from './leases.ts'

/** The pause before Redis is asked again after an error, in ms. */
const ERROR_PAUSE_MS = 1000
/** Longest pause between questions, in ms: timers have a limit, and Redis' clock may be set. */
const MAX_PAUSE_MS = 60_000

export interface PeriodicRunsDeps {
  connection: RedisConnection
  leases: Leases
  runs: LeaseRuns
  log: Pick<Logger, 'error' | 'warn'>
  /** Aborted when this worker starts to drain. */
  draining: AbortSignal
}

/** A handle on `every`. */
export interface Every {
  /** Starts no further run in this worker, and aborts the signal of a current one. Resolves when that has ended. */
  stop(): Promise<void>
}

interface Job {
  name: string
  terms: LeaseTerms
  fn: (run: PeriodicRun) => unknown
}

/** The jobs of `every` in this worker. For each one, a loop asks Redis whether a run is due. */
export class PeriodicRuns {
  readonly #deps: PeriodicRunsDeps
  readonly #stops = new Set<AbortController>()
  #open!: () => void
  readonly #opened = new Promise<void>((resolve) => {
    this.#open = resolve
  })

  constructor(deps: PeriodicRunsDeps) {
    this.#deps = deps
    const { draining } = deps
    draining.addEventListener('abort', () => {
      this.#open()
      for (const stop of this.#stops) stop.abort(draining.reason)
    })
  }

  /** Lets jobs run from now on. Until then they wait, because a new release must first show that it can boot. */
  open(): void {
    this.#open()
  }

  start(job: Job): Every {
    const { draining, runs } = this.#deps
    const stop = new AbortController()
    if (draining.aborted) stop.abort()
    this.#stops.add(stop)
    const stopped = runs.track(this.#opened.then(() => this.#repeat(job, stop.signal)))
    return {
      stop: () => {
        this.#stops.delete(stop)
        stop.abort()
        return stopped
      }
    }
  }

  async #repeat(job: Job, stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      const pauseMs = await this.#runIfDue(job, stop)
      await sleep(Math.min(pauseMs, MAX_PAUSE_MS), undefined, { signal: stop }).catch(() => {})
    }
  }

  /** @returns the time until the next run may be due, in ms */
  async #runIfDue({ name, terms, fn }: Job, stop: AbortSignal): Promise<number> {
    const { connection, leases, runs, log } = this.#deps
    try {
      const lease = await leases.claim(terms).ask()
      if (!(lease instanceof Lease)) return lease.retryMs
      if (stop.aborted) {
        await lease.giveBack()
        return 0
      }
      const abort = () => lease.abort(stop.reason)
      stop.addEventListener('abort', abort)
      await runs.runAndRelease(lease, fn).catch((error: unknown) => {
        const level = lease.grant.signal.aborted ? 'warn' : 'error'
        log[level]({ err: error, every: name }, 'periodic run failed')
      })
      stop.removeEventListener('abort', abort)
      return 0
    } catch (error) {
      // While Redis is away, the log already says so.
      if (connection.up) log.warn({ err: error, every: name }, 'cannot find out whether a periodic run is due')
      return ERROR_PAUSE_MS
    }
  }
}
