import { EventEmitter } from 'node:events'
import type { Logger } from '../../common/log.ts'
import { describe } from './redis-errors.ts'

/**
 * Whether Redis is up, and if not, since when and why. It starts open. Emits `change` when it closes and when it opens
 * again; the log has every cause of an absence once. What turns it is decided by who extends it.
 */
export class CircuitBreaker extends EventEmitter<{ change: [up: boolean] }> {
  /** How long a command may take. */
  readonly timeoutMs: number
  /** How often it went down. */
  opened = 0
  readonly #log: Logger
  #state: 'open' | 'half-open' | 'closed' = 'open'
  /** When it went down, in ms of `performance.now()`. */
  #downSince = performance.now()
  #cause: Error | undefined
  /** Causes of this absence that the log has. */
  readonly #logged = new Set<string>()

  constructor(timeoutMs: number, log: Logger) {
    super()
    this.timeoutMs = timeoutMs
    this.#log = log
  }

  /** `open`: commands fail at once. `half-open`: Redis answers again, and what must be read first is read. */
  get circuit(): 'open' | 'half-open' | 'closed' {
    return this.#state
  }

  get up(): boolean {
    return this.#state === 'closed'
  }

  /** It has been away for longer than a command may take: trying again within one request is of no use. */
  get away(): boolean {
    return !this.up && performance.now() - this.#downSince > this.timeoutMs
  }

  /** Why it is down. */
  get cause(): Error | undefined {
    return this.#cause
  }

  protected halfOpen(): void {
    this.#state = 'half-open'
  }

  protected close(): void {
    if (this.up) return
    this.#state = 'closed'
    const wasAway = this.#logged.size > 0
    this.#log.info(wasAway ? { awayMs: Math.round(performance.now() - this.#downSince) } : {}, 'Redis is up')
    this.#logged.clear()
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
    const text = describe(cause, this.timeoutMs)
    const kind = text.replace(/\d+/g, '')
    if (!this.#logged.has(kind)) {
      this.#log.warn({ cause: text }, this.#logged.size === 0 ? 'Redis is away' : 'Redis is still away')
      this.#logged.add(kind)
    }
    if (wasUp) this.emit('change', false)
  }
}
