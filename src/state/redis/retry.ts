import { setTimeout as sleep } from 'node:timers/promises'
import { stateUnavailable } from '../../common/errors.ts'
import type { CircuitBreaker } from './circuit-breaker.ts'

/** The pause before a command that may be repeated is sent again, in ms. */
export const RETRY_MS = 10

/**
 * Repeats `send` until it succeeds. The commands in it must be safe to repeat.
 * @throws HttpError 503 when it has not succeeded within the timeout of the connection, or at once while Redis is away. Redis
 *   may have executed the commands all the same
 */
export function retryUntilTimeout<T>(connection: CircuitBreaker, send: () => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    let lastError: unknown
    let isTimedOut = false
    const giveUp = () => {
      isTimedOut = true
      reject(stateUnavailable(connection.cause ?? lastError))
    }
    if (connection.away) return giveUp()
    const timer = setTimeout(giveUp, connection.timeoutMs)
    const attempt = async () => {
      while (!isTimedOut) {
        try {
          resolve(await send())
          clearTimeout(timer)
          return
        } catch (error) {
          lastError = error
          await sleep(RETRY_MS)
        }
      }
    }
    void attempt()
  })
}
