import { tooManyAttempts } from '../../common/errors.ts'
import type { RedisClient, RedisConnection } from '../redis/redis-connection.ts'
import { mapRedisErrors } from '../redis/redis-errors.ts'

const COUNT = `
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return count`

type Client = RedisClient & { musterCountAttempt(key: string, windowMs: number): Promise<number> }

/** A window begins with the first wrong secret. */
const WINDOW_MS = 60_000
/** Wrong secrets per window that are answered with 401: from one network (`each`), and from all networks together (`all`). */
export const MAX_ATTEMPTS = { each: 20, all: 200 }

/**
 * Counts wrong secrets for all workers of all hosts. A valid secret is never looked up here. Secrets are too long to be guessed,
 * and such a check would let an attacker lock the owner of the secret out, by sharing its network or by using many networks.
 */
export class Attempts {
  readonly #client: Client
  readonly #off: boolean
  readonly #prefix: string

  /** @param secretName part of the keys in Redis */
  constructor(connection: RedisConnection, secretName: string) {
    connection.client.defineCommand('musterCountAttempt', { numberOfKeys: 1, lua: COUNT })
    this.#client = connection.client as Client
    this.#off = connection.isOff
    this.#prefix = connection.keys.of(`attempts:${secretName}:`)
  }

  /**
   * Counts one wrong secret; without Redis, none is counted.
   * @param network of the caller, see `networkOf`
   * @throws HttpError 429 when this network, or all networks together, sent too many; 503 without Redis
   */
  async count(network: string): Promise<void> {
    if (this.#off) return
    const keys = [`${this.#prefix}${network}`, `${this.#prefix}all`]
    const counts = keys.map((key) => this.#client.musterCountAttempt(key, WINDOW_MS))
    const [each = 0, all = 0] = await mapRedisErrors(Promise.all(counts))
    if (each > MAX_ATTEMPTS.each || all > MAX_ATTEMPTS.all) throw tooManyAttempts(WINDOW_MS / 1000)
  }
}
