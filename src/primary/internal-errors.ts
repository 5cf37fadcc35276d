import type { Logger } from '../common/log.ts'

/** Where an exception was caught. */
const SOURCES = ['command', 'event', 'fork', 'action', 'plan', 'listener'] as const
export type ErrorSource = (typeof SOURCES)[number]

/** Each source logs at most one line in this time, so that a persistent error does not fill the log. */
const LOG_INTERVAL_MS = 1000

/** Counts and logs exceptions in the primary's own code that it survives. Each is a bug of muster. */
export class InternalErrors {
  /** By source; the values of `cluster_primary_errors_total`. */
  readonly counts = Object.fromEntries(SOURCES.map((source) => [source, 0])) as Record<ErrorSource, number>
  readonly #log: Logger
  readonly #loggedAt = new Map<ErrorSource, number>()

  constructor(log: Logger) {
    this.#log = log
  }

  /** @param fields further fields of the log line */
  caught(source: ErrorSource, error: unknown, fields: object = {}): void {
    this.counts[source]++
    const now = performance.now()
    if (now - (this.#loggedAt.get(source) ?? Number.NEGATIVE_INFINITY) < LOG_INTERVAL_MS) return
    this.#loggedAt.set(source, now)
    this.#log.error({ err: error, source, errors: this.counts[source], ...fields }, 'internal error')
  }

  /** Runs `work`. @returns its result; undefined if it threw */
  survive<T>(source: ErrorSource, work: () => T, fields?: object): T | undefined {
    try {
      return work()
    } catch (error) {
      this.caught(source, error, fields)
      return undefined
    }
  }
}
