import { createHash } from 'node:crypto'
import type { RedisClient, RedisConnection } from '../redis/redis-connection.ts'

/**
 * Adds a session, ARGV[2], for ARGV[1] ms, and removes the entries that have ended. The key expires with its last entry. Times
 * are those of Redis' clock, since the clocks of hosts differ.
 */
const ADD = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[2])
redis.call('PEXPIREAT', KEYS[1], redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2])`

type Client = RedisClient & { musterNote(key: string, forMs: number, id: string): Promise<null> }

/** Sessions for which a worker remembers when it last wrote the entry. */
const MAX_REMEMBERED = 10_000

/**
 * The index of each user's sessions: a sorted set per user, with session ids by the time of their end. Every read prolongs a
 * session, but its entry is written only now and then, so an entry outlives its session by at most `slackMs`. The entry of a
 * session that was ended earlier stays until a reader of the index removes it.
 */
export class SessionIndex {
  readonly #client: Client
  readonly #connection: RedisConnection
  readonly #slackMs: number
  /** By session id: when this worker last wrote its entry, in ms of `performance.now()`. */
  readonly #writtenAt = new Map<string, number>()

  constructor(connection: RedisConnection, slackMs: number) {
    connection.writes.defineCommand('musterNote', { numberOfKeys: 1, lua: ADD })
    this.#client = connection.writes as Client
    this.#connection = connection
    this.#slackMs = slackMs
  }

  /**
   * Adds a session, or prolongs its entry.
   * @param lifeMs the session ends after this time if it is not used
   */
  async add(user: string, id: string, lifeMs: number): Promise<void> {
    await this.#client.musterNote(this.#keyOf(user), lifeMs + this.#slackMs, id)
  }

  /** Prolongs the entry of a session that was just read, in the background, if the last write is older than `slackMs`. */
  refresh(user: string, id: string, lifeMs: number): void {
    const now = performance.now()
    if (now - (this.#writtenAt.get(id) ?? Number.NEGATIVE_INFINITY) < this.#slackMs) return
    if (this.#writtenAt.size >= MAX_REMEMBERED) this.#writtenAt.clear()
    this.#writtenAt.set(id, now)
    this.add(user, id, lifeMs).catch(() => this.#writtenAt.delete(id))
  }

  /** Returns the ids in the index; the session that ends last comes first. Some may have ended. */
  idsOf(user: string): Promise<string[]> {
    return this.#client.zrevrange(this.#keyOf(user), 0, -1)
  }

  async remove(user: string, ids: string[]): Promise<void> {
    if (ids.length > 0) await this.#client.zrem(this.#keyOf(user), ...ids)
  }

  /** The user name is hashed because it may be any text. The braces keep all keys of one user in one slot of a Cluster. */
  #keyOf(user: string): string {
    return this.#connection.keys.of(`user:{${createHash('sha256').update(user).digest('base64url')}}:sessions`)
  }
}
