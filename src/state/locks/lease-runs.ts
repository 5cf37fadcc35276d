import { setTimeout as sleep } from 'node:timers/promises'
import type { Lease, LeaseGrant } from './lease.ts'

/** The argument of a run of `every`. */
export interface PeriodicRun extends LeaseGrant {
  /** When the period began, in ms since 1970 by Redis' clock. No two runs have the same, unless that clock is set back. */
  readonly period: number
}

/** The functions that run under leases in this worker, and the writes that record their end. */
export class LeaseRuns {
  readonly #draining: AbortSignal
  readonly #leases = new Set<Lease>()
  readonly #work = new Set<Promise<unknown>>()

  /** @param draining aborts the signal of every run */
  constructor(draining: AbortSignal) {
    this.#draining = draining
    draining.addEventListener('abort', () => {
      for (const lease of this.#leases) lease.abort(draining.reason)
    })
  }

  /** Resolves when no function runs and every end is recorded, or after `deadlineMs`. */
  async ended(deadlineMs: number): Promise<void> {
    await Promise.race([this.#allSettled(), sleep(deadlineMs, undefined, { ref: false })])
  }

  /** Runs `fn` and releases the lease. */
  runAndRelease<T>(lease: Lease, fn: (run: PeriodicRun) => T | Promise<T>): Promise<T> {
    return this.run(lease, async () => {
      try {
        return await fn(lease.grant)
      } finally {
        await lease.release()
      }
    })
  }

  /** Runs `fn`, which ends the lease itself. */
  async run<T>(lease: Lease, fn: () => Promise<T>): Promise<T> {
    if (this.#draining.aborted) lease.abort(this.#draining.reason)
    this.#leases.add(lease)
    try {
      return await this.track(fn())
    } finally {
      this.#leases.delete(lease)
    }
  }

  /** Lets {@link ended} wait for a promise. */
  track<T>(work: Promise<T>): Promise<T> {
    this.#work.add(work)
    const forget = () => this.#work.delete(work)
    work.then(forget, forget)
    return work
  }

  async #allSettled(): Promise<void> {
    while (this.#work.size > 0) await Promise.allSettled(this.#work)
  }
}
