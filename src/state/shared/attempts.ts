import { tooManyAttempts } from '../../common/errors.ts'
import type { RedisClient, RedisConnection } from '../redis/redis-connection.ts'
import { mapRedisErrors } from '../sessions/session-store.ts'

const COUNT = `
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return count`

type Client = RedisClient & { musterCountAttempt(key: string, windowMs: number): Promise<number> }

/** A window begins with the first wrong secret. */
const WINDOW_MS = 60_000
/** Wrong secrets in a window that are answered with 401: from one network, and from all networks together. */
export const MAX_ATTEMPTS = { each: 20, all: 200 }

/**
 * Counts wrong secrets for all workers of all hosts. A valid secret is never looked up here: secrets are too long to be
 * guessed, and a check would let anybody who shares the caller's address, or a crowd, lock out the owner of the secret.
 */
export class Attempts {
  readonly #client: Client
  readonly #prefix: string

  /** @param what names the secret: part of the keys */
  constructor(link: RedisConnection, what: string) {
    link.client.defineCommand('musterCountAttempt', { numberOfKeys: 1, lua: COUNT })
    this.#client = link.client as Client
    this.#prefix = link.keys.of(`attempts:${what}:`)
  }

  /**
   * Counts one wrong secret.
   * @param network of the caller, see `networkOf`
   * @throws HttpError 429 when this network, or all networks together, sent too many; 503 without Redis
   */
  async count(network: string): Promise<void> {
    const keys = [`${this.#prefix}${network}`, `${this.#prefix}all`]
    const counts = keys.map((key) => this.#client.musterCountAttempt(key, WINDOW_MS))
    const [each = 0, all = 0] = await mapRedisErrors(Promise.all(counts))
    if (each > MAX_ATTEMPTS.each || all > MAX_ATTEMPTS.all) throw tooManyAttempts(WINDOW_MS / 1000)
  }
}
