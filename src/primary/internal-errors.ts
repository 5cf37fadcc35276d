import type { Logger } from '../common/log.ts'

/** Where an exception was caught. */
const SOURCES = ['command', 'event', 'fork', 'action', 'plan', 'listener'] as const
export type ErrorSource = (typeof SOURCES)[number]

/** Of each source, one line in so many ms: a fault that stays must not fill the log. */
const LOG_EVERY_MS = 1000

/**
 * Exceptions in the primary's own code that were caught, so that it goes on: each is a bug of muster. They are counted,
 * for `cluster_primary_errors_total`, and logged.
 */
export class InternalErrors {
  readonly counts = Object.fromEntries(SOURCES.map((source) => [source, 0])) as Record<ErrorSource, number>
  readonly #log: Logger
  readonly #loggedAt = new Map<ErrorSource, number>()

  constructor(log: Logger) {
    this.#log = log
  }

  /** @param about fields of the log line */
  caught(source: ErrorSource, error: unknown, about: object = {}): void {
    this.counts[source]++
    const now = performance.now()
    if (now - (this.#loggedAt.get(source) ?? Number.NEGATIVE_INFINITY) < LOG_EVERY_MS) return
    this.#loggedAt.set(source, now)
    this.#log.error({ err: error, source, errors: this.counts[source], ...about }, 'internal error')
  }

  /** Runs `work`. @returns its result, or undefined where it threw */
  survive<T>(source: ErrorSource, work: () => T, about?: object): T | undefined {
    try {
      return work()
    } catch (error) {
      this.caught(source, error, about)
      return undefined
    }
  }
}
