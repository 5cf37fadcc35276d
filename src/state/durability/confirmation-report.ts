import { HttpError } from '../../common/errors.ts'
import type { Logger } from '../../common/log.ts'

const MINUTE_MS = 60_000

/** Counts what replicas have confirmed, and logs when they do not, once a minute. */
export class ConfirmationReport {
  /** Groups of writes that enough replicas have confirmed, and others, since the worker started. */
  readonly groups = { confirmed: 0, unconfirmed: 0 }
  /** Last batches of counters that were looked up at another Redis primary: it had them, or lacked them and counts them now. */
  readonly replays = { present: 0, restored: 0 }
  /** The error of the last group, if too few replicas have confirmed it. */
  problem: HttpError | undefined
  readonly #log: Logger
  readonly #replicas: number
  readonly #now: () => number
  #loggedAt = Number.NEGATIVE_INFINITY
  #failures = 0

  /** @param replicas number of replicas that must confirm */
  constructor(log: Logger, replicas: number, now: () => number = () => performance.now()) {
    this.#log = log
    this.#replicas = replicas
    this.#now = now
  }

  confirmed(): void {
    this.groups.confirmed++
    if (!this.problem) return
    this.problem = undefined
    this.#log.info({ needed: this.#replicas }, 'Redis replicas confirm writes again')
    this.#loggedAt = Number.NEGATIVE_INFINITY
    this.#failures = 0
  }

  /** @param error that of {@link tooFew}, or an error of the connection, which is logged elsewhere */
  unconfirmed(error: Error): void {
    this.groups.unconfirmed++
    if (!(error instanceof HttpError)) return
    this.problem = error
    this.#failures++
    const now = this.#now()
    if (now - this.#loggedAt < MINUTE_MS) return
    const { cause } = error as { cause?: unknown }
    const failures = this.#failures
    this.#log.warn({ confirmed: cause, needed: this.#replicas, failures }, 'too few Redis replicas confirm writes')
    this.#loggedAt = now
    this.#failures = 0
  }

  /** Returns the error for writes that too few replicas have confirmed. @param confirmed number of replicas that have */
  tooFew(confirmed: number): HttpError {
    return new HttpError(503, 'TOO_FEW_REPLICAS', 'The shared state cannot be kept safely at the moment', {
      cause: confirmed,
      retryAfter: 1
    })
  }

  /** @param key of the counter @param isRestored whether the new primary lacked the worker's last batch */
  replayed(key: string, isRestored: boolean): void {
    this.replays[isRestored ? 'restored' : 'present']++
    if (isRestored) this.#log.warn({ key }, 'another Redis primary lacked confirmed hits: counted again')
    else this.#log.info({ key }, 'another Redis primary has all confirmed hits')
  }
}
