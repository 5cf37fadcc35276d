import { MultiKeyBatcher } from '../redis/multi-key-batcher.ts'
import type { RedisClient, RedisConnection } from '../redis/redis-connection.ts'
import { mapRedisErrors } from '../redis/redis-errors.ts'

/**
 * A Lua function that increments the counter of a session. The counter lives for the maximum age of a session from its first visit
 * on, so it never ends before its session.
 */
export const COUNT_VISIT = `
local function countVisit(key, maxAgeMs)
  local value = redis.call('INCR', key)
  if value == 1 then redis.call('PEXPIRE', key, maxAgeMs) end
  return value
end
`

/**
 * Increments the counters of sessions. KEYS are sessions and their counters in turn. Returns each new value, or nil where the
 * session has ended: a counter must not begin without one.
 */
const COUNT = `${COUNT_VISIT}
local counted = {}
for i = 1, #KEYS, 2 do
  counted[(i + 1) / 2] = redis.call('EXISTS', KEYS[i]) == 1 and countVisit(KEYS[i + 1], ARGV[1])
end
return counted`

/** Returns the key of a session's counter, in one hash slot with the session. */
export const counterKey = (sessionKey: string) => `{${sessionKey}}:visits`

export interface SessionVisitsOptions {
  connection: RedisConnection
  /** Prefix of the keys of sessions. */
  prefix: string
  maxAgeMs: number
  /** Counts a visit of a session that a sign-in has replaced; null where it was not replaced. */
  countReplaced(id: string): Promise<number | null>
}

/** The visits of each session: a counter beside it, so that a request that only counts does not write the session. */
export class SessionVisits {
  readonly #client: RedisClient
  readonly #options: SessionVisitsOptions
  readonly #counters: MultiKeyBatcher<number | null>

  constructor(options: SessionVisitsOptions) {
    const { connection, maxAgeMs } = options
    this.#client = connection.client
    this.#options = options
    // A counter may outlive its session, since a request that does not count prolongs the session only. No one reads it then.
    this.#counters = new MultiKeyBatcher(connection, {
      client: connection.writes,
      name: 'musterCountVisits',
      lua: COUNT,
      scriptArguments: [maxAgeMs]
    })
  }

  /**
   * Adds one to the counter of a session, or of the session that has replaced it meanwhile.
   * @returns the new value; null when the session has ended
   * @throws HttpError 503
   */
  async count(id: string): Promise<number | null> {
    const key = this.#options.prefix + id
    const counted = await mapRedisErrors(this.#counters.query([key, counterKey(key)]))
    return counted ?? mapRedisErrors(this.#options.countReplaced(id))
  }

  /** Returns the counter of a session. @throws HttpError 503 */
  async read(id: string): Promise<number> {
    return Number((await mapRedisErrors(this.#client.get(counterKey(this.#options.prefix + id)))) ?? 0)
  }
}
