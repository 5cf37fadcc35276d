import { EventEmitter } from 'node:events'
import type { Logger } from '../../common/log.ts'
import { describeError } from './redis-errors.ts'

/**
 * The state of the connection to Redis: up or down, since when, and why. It starts open (down). A subclass decides when the
 * circuit opens and closes. Emits `change` when Redis goes up or down, and logs each cause of an outage once.
 */
export class CircuitBreaker extends EventEmitter<{ change: [up: boolean] }> {
  /** The longest time that a command may take, in ms. */
  readonly timeoutMs: number
  /** Number of times that Redis went from up to down. */
  opened = 0
  readonly #log: Logger
  #state: 'open' | 'half-open' | 'closed' = 'open'
  /** When Redis went down, in ms of `performance.now()`. */
  #downSince = performance.now()
  #cause: Error | undefined
  /** Causes of the current outage that were logged. */
  readonly #loggedCauses = new Set<string>()

  constructor(timeoutMs: number, log: Logger) {
    super()
    this.timeoutMs = timeoutMs
    this.#log = log
  }

  /** `open`: commands fail at once. `half-open`: Redis answers again, and the worker reads what it needs before it serves. */
  get circuit(): 'open' | 'half-open' | 'closed' {
    return this.#state
  }

  /** Whether the circuit is closed: commands reach Redis. */
  get up(): boolean {
    return this.#state === 'closed'
  }

  /** Whether Redis has been down for longer than {@link timeoutMs}, so that retrying within one request is pointless. */
  get away(): boolean {
    return !this.up && performance.now() - this.#downSince > this.timeoutMs
  }

  /** Why Redis is down; undefined while it is up. */
  get cause(): Error | undefined {
    return this.#cause
  }

  protected halfOpen(): void {
    this.#state = 'half-open'
  }

  protected close(): void {
    if (this.up) return
    this.#state = 'closed'
    const wasAway = this.#loggedCauses.size > 0
    this.#log.info(wasAway ? { awayMs: Math.round(performance.now() - this.#downSince) } : {}, 'Redis is up')
    this.#loggedCauses.clear()
    this.#cause = undefined
    this.emit('change', true)
  }

  protected open(cause: Error): void {
    const wasUp = this.up
    this.#state = 'open'
    if (wasUp) {
      this.#downSince = performance.now()
      this.opened++
    }
    this.#cause = cause
    this.#logOnce(cause)
    if (wasUp) this.emit('change', false)
  }

  /** Causes that differ only in numbers, such as ports and durations, count as one. */
  #logOnce(error: Error): void {
    const cause = describeError(error, this.timeoutMs)
    const kind = cause.replace(/\d+/g, '')
    if (this.#loggedCauses.has(kind)) return
    this.#log.warn({ cause }, this.#loggedCauses.size === 0 ? 'Redis is away' : 'Redis is still away')
    this.#loggedCauses.add(kind)
  }
}
