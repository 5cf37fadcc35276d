import { LeaseLostError } from '../../common/errors.ts'
import { RETRY_MS } from '../redis/retry.ts'
import type { LeaseWrite } from './lease-writes.ts'

/** The part of its TTL for which a holder trusts its lease. The rest is a margin for timers that fire late. */
const TRUSTED_PART = 0.9
const MAX_TIMER_MS = 2 ** 31 - 1

/** The argument of a function that runs under a lock, `once` or `every`. */
export interface LeaseGrant {
  /**
   * Fencing token: an integer higher than that of every earlier holder, in microseconds since 1970 unless Redis' clock was set
   * back. A process that was paused can outlive its lock without knowing it, so storage that remembers the highest fence can
   * refuse a lower one.
   */
  readonly fence: number
  /**
   * Is aborted when the lock is lost (the reason is a LeaseLostError) or when this worker starts to drain. In a worker that
   * already drains it is aborted from the start.
   */
  readonly signal: AbortSignal
}

/** The commands on one lease, which its claim sends. */
export interface LeaseCommands {
  readonly ttlMs: number
  /** Resolves with 1, or with 0 when the lease is lost. */
  renew(): Promise<number>
  release(options?: { forgetPeriod?: boolean }): LeaseWrite
  markDone(ttlMs: number): LeaseWrite
}

/** A granted lease, renewed at every third of its TTL until it is ended or lost. */
export class Lease {
  readonly grant: LeaseGrant & { readonly period: number }
  readonly #commands: LeaseCommands
  readonly #aborting = new AbortController()
  #expiry: NodeJS.Timeout | undefined
  #renewal: NodeJS.Timeout | undefined
  #isOver = false
  #isLost = false

  /** @param granted `askedAt`: when Redis was asked, in ms of `performance.now()`; Redis' TTL starts later than that */
  constructor(commands: LeaseCommands, granted: { fence: number; period: number; askedAt: number }) {
    const { fence, period, askedAt } = granted
    this.grant = { fence, period, signal: this.#aborting.signal }
    this.#commands = commands
    this.#restartTimers(askedAt)
  }

  /** Whether Redis did not renew the lease in time. */
  get isLost(): boolean {
    return this.#isLost
  }

  /** Aborts the holder's signal. */
  abort(reason: unknown): void {
    this.#aborting.abort(reason)
  }

  /** Frees the lease. Resolves when Redis has acknowledged that, or after REDIS_TIMEOUT; it is then retried in the background. */
  async release(): Promise<void> {
    if (this.#isOver) return
    this.#end()
    await this.#commands.release().soon
  }

  /** Frees the lease together with its period, in which nothing has run. */
  async giveBack(): Promise<void> {
    this.#end()
    await this.#commands.release({ forgetPeriod: true }).soon
  }

  /** Ends the lease and refuses every other caller for `ttlMs`, because the work is done. */
  markDone(ttlMs: number): LeaseWrite {
    this.#end()
    return this.#commands.markDone(ttlMs)
  }

  #end(): void {
    this.#isOver = true
    clearTimeout(this.#expiry)
    clearTimeout(this.#renewal)
  }

  #lose(): void {
    this.#end()
    this.#isLost = true
    this.abort(new LeaseLostError())
    // A renewal may still be under way. The release leaves it nothing to extend.
    this.#commands.release()
  }

  #restartTimers(askedAt: number): void {
    const { ttlMs } = this.#commands
    const elapsedMs = performance.now() - askedAt
    clearTimeout(this.#expiry)
    this.#expiry = setTimeout(() => this.#lose(), Math.min(TRUSTED_PART * ttlMs - elapsedMs, MAX_TIMER_MS))
    this.#renewIn(ttlMs / 3 - elapsedMs)
  }

  #renewIn(ms: number): void {
    this.#renewal = setTimeout(() => void this.#renew(), Math.min(ms, MAX_TIMER_MS))
  }

  async #renew(): Promise<void> {
    const askedAt = performance.now()
    try {
      const isRenewed = await this.#commands.renew()
      if (this.#isOver) return
      if (isRenewed) this.#restartTimers(askedAt)
      else this.#lose()
    } catch {
      if (!this.#isOver) this.#renewIn(RETRY_MS)
    }
  }
}
