import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from '../../common/log.ts'
import type { RedisConnection } from '../redis/redis-connection.ts'
import { retryUntilTimeout } from '../redis/retry.ts'

/** The first pause between attempts after REDIS_TIMEOUT, in ms. Each pause is twice as long as the one before. */
const FIRST_PAUSE_MS = 100
const MAX_PAUSE_MS = 1000

/** A write that ends a lease. */
export interface LeaseWrite {
  /** Resolves when Redis has acknowledged the write, or after REDIS_TIMEOUT. */
  soon: Promise<void>
  /** Resolves when the write is not sent any more: it was acknowledged, or it is pointless by now. */
  settled: Promise<unknown>
}

/** Sends the writes that end leases until Redis has acknowledged them. One line of the log says when that takes longer. */
export class LeaseWrites {
  readonly #connection: RedisConnection
  readonly #log: Pick<Logger, 'info' | 'warn'>
  /** Number of writes that Redis has not acknowledged within REDIS_TIMEOUT. */
  #pending = 0
  /** Number of those that were given up. */
  #expired = 0

  constructor(connection: RedisConnection, log: Pick<Logger, 'info' | 'warn'>) {
    this.#connection = connection
    this.#log = log
  }

  /**
   * Sends a write that may be repeated.
   * @param lease for the log
   * @param giveUpAfterMs from this time on the write would be pointless
   */
  send(lease: string, giveUpAfterMs: number, write: () => Promise<unknown>): LeaseWrite {
    const attempt = retryUntilTimeout(this.#connection, write)
    const soon = attempt.then(
      () => {},
      () => {}
    )
    return { soon, settled: attempt.catch(() => this.#retry(lease, performance.now() + giveUpAfterMs, write)) }
  }

  async #retry(lease: string, deadline: number, write: () => Promise<unknown>): Promise<void> {
    if (this.#pending++ === 0) {
      this.#log.warn({ lease }, 'Redis has not acknowledged the end of a lease: retrying until the lease expires')
    }
    let isAcknowledged = false
    for (let pauseMs = FIRST_PAUSE_MS; !isAcknowledged && performance.now() < deadline; pauseMs *= 2) {
      await sleep(Math.min(pauseMs, MAX_PAUSE_MS), undefined, { ref: false })
      if (this.#connection.away) continue
      isAcknowledged = await write().then(
        () => true,
        () => false
      )
    }
    if (!isAcknowledged) this.#expired++
    if (--this.#pending > 0) return
    this.#log.info({ expired: this.#expired }, 'all ended leases acknowledged or expired')
    this.#expired = 0
  }
}
