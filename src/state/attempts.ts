import { tooManyAttempts } from '../errors.ts'
import type { RedisClient, RedisLink } from './redis.ts'
import { available } from './session-store.ts'

const COUNT = `
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return count`

type Client = RedisClient & { musterCountAttempt(key: string, windowMs: number): Promise<number> }

/** In any window that begins with a wrong guess. */
const WINDOW_MS = 60_000
/** Wrong guesses in a window, of one network and of all of them together. */
export const MOST_ATTEMPTS = { each: 20, all: 200 }

/**
 * Wrong guesses of a secret, counted for all workers of all hosts. Who has made too many is refused, right or wrong: a
 * guess says nothing then. Without Redis nothing is answered at all.
 */
export class Attempts {
  readonly #client: Client
  readonly #prefix: string

  /** @param what is guessed: part of the keys */
  constructor(link: RedisLink, what: string) {
    link.client.defineCommand('musterCountAttempt', { numberOfKeys: 1, lua: COUNT })
    this.#client = link.client as Client
    this.#prefix = link.keys.of(`attempts:${what}:`)
  }

  /** @throws HttpError 429 when this network, or all together, made too many, 503 when that cannot be known */
  async check(network: string): Promise<void> {
    const counts = await available(Promise.all(this.#keys(network).map((key) => this.#client.get(key))))
    this.#judge(counts.map(Number))
  }

  /** Counts one. @throws HttpError as {@link check} does */
  async count(network: string): Promise<void> {
    const counts = this.#keys(network).map((key) => this.#client.musterCountAttempt(key, WINDOW_MS))
    this.#judge(await available(Promise.all(counts)))
  }

  #keys(network: string): string[] {
    return [`${this.#prefix}${network}`, `${this.#prefix}all`]
  }

  #judge([each = 0, all = 0]: number[]): void {
    if (each > MOST_ATTEMPTS.each || all > MOST_ATTEMPTS.all) throw tooManyAttempts(WINDOW_MS / 1000)
  }
}
