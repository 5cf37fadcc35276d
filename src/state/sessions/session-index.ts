import { createHash } from 'node:crypto'
import type { RedisClient, RedisConnection } from '../redis/redis-connection.ts'

/**
 * Notes a session for so long, forgets those whose time is over; the key lives as long as its last entry. By the clock of
 * Redis, since those of hosts differ.
 */
const NOTE = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[2])
redis.call('PEXPIREAT', KEYS[1], redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2])`

type Client = RedisClient & { musterNote(key: string, forMs: number, id: string): Promise<null> }

/** Sessions whose time of noting a worker remembers. */
const MAX_NOTED = 10_000

/**
 * Which sessions a user has: a sorted set a user, ids by the time of their end. A session lives on with every read, its
 * entry is told of that only now and then, so an entry outlives its session by `slackMs` at most. Entries of sessions
 * that were ended before are left to whoever finds them.
 */
export class SessionIndex {
  readonly #client: Client
  readonly #link: RedisConnection
  readonly #slackMs: number
  /** When this worker last noted a session, in ms of `performance.now()`. */
  readonly #noted = new Map<string, number>()

  constructor(link: RedisConnection, slackMs: number) {
    link.client.defineCommand('musterNote', { numberOfKeys: 1, lua: NOTE })
    this.#client = link.client as Client
    this.#link = link
    this.#slackMs = slackMs
  }

  /** @param lifeMs the session ends so long from now if nobody uses it */
  async note(user: string, id: string, lifeMs: number): Promise<void> {
    await this.#client.musterNote(this.#keyOf(user), lifeMs + this.#slackMs, id)
  }

  /** The same for a session that was just read: in the background, and only where the last time is too long ago. */
  keep(user: string, id: string, lifeMs: number): void {
    const now = performance.now()
    if (now - (this.#noted.get(id) ?? Number.NEGATIVE_INFINITY) < this.#slackMs) return
    if (this.#noted.size >= MAX_NOTED) this.#noted.clear()
    this.#noted.set(id, now)
    this.note(user, id, lifeMs).catch(() => this.#noted.delete(id))
  }

  /** Ids of the sessions that were noted, those that end last first. */
  idsOf(user: string): Promise<string[]> {
    return this.#client.zrevrange(this.#keyOf(user), 0, -1)
  }

  async forget(user: string, ids: string[]): Promise<void> {
    if (ids.length > 0) await this.#client.zrem(this.#keyOf(user), ...ids)
  }

  /** Hashed: a name may be anything. The braces keep all keys of one user in one slot of a cluster. */
  #keyOf(user: string): string {
    return this.#link.keys.of(`user:{${createHash('sha256').update(user).digest('base64url')}}:sessions`)
  }
}
