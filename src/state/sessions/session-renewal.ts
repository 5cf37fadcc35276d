import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyBaseLogger, Session } from 'fastify'
import type { RedisClient, RedisConnection } from '../redis/redis-connection.ts'
import { NO_ANSWER } from '../redis/redis-errors.ts'
import type { SessionIndex } from './session-index.ts'
import { handleOf } from './session-merge.ts'
import { type SessionCounts, type SessionWriter, UNCONFIRMED_MS } from './session-writer.ts'

/**
 * Ends a session for a new one, ARGV[1]. KEYS: the session, its counter, and a record of it that lives for ARGV[2] ms: visits
 * in flight find the new session there, and what is needed to undo it. Answers what was counted, nil where there is no
 * session; the same again when it is asked again, and an error when it was undone before it came.
 */
const RETIRE = `
local to, counted, undone = unpack(redis.call('HMGET', KEYS[3], 'to', 'counted', 'undone:' .. ARGV[1]))
if to == ARGV[1] then return tonumber(counted) end
if undone then return redis.error_reply('STALE sign-in') end
local value = redis.call('GET', KEYS[1])
if not value then return false end
local ttlMs = redis.call('PTTL', KEYS[1])
counted = redis.call('GETDEL', KEYS[2]) or '0'
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[3], 'to', ARGV[1], 'counted', counted, 'value', value, 'ttlMs', ttlMs)
redis.call('PEXPIRE', KEYS[3], ARGV[2])
return tonumber(counted)`

/** Undoes that, or sees to it that it is not done when it comes later. ARGV: new id, life of the record, of the counter. */
const RESTORE = `
local to, counted, value, ttlMs = unpack(redis.call('HMGET', KEYS[3], 'to', 'counted', 'value', 'ttlMs'))
if to == ARGV[1] then
  redis.call('SET', KEYS[1], value)
  if tonumber(ttlMs) > 0 then redis.call('PEXPIRE', KEYS[1], ttlMs) end
  if counted ~= '0' then redis.call('SET', KEYS[2], counted, 'PX', ARGV[3]) end
  redis.call('HDEL', KEYS[3], 'to', 'counted', 'value', 'ttlMs')
end
redis.call('HSET', KEYS[3], 'undone:' .. ARGV[1], '1')
redis.call('PEXPIRE', KEYS[3], ARGV[2])
return 1`

type Client = RedisClient & {
  musterRetire(session: string, counter: string, record: string, to: string, keepMs: number): Promise<number | null>
  musterRestore(
    session: string,
    counter: string,
    record: string,
    to: string,
    keepMs: number,
    counterMs: number
  ): Promise<1>
}

/** How long the record of an ended session is kept: visits in flight and undoing may take so long, in ms. */
const RECORD_MS = 10 * 60_000
/** The pause before undoing is tried again, in ms. */
const UNDO_RETRY_MS = 250

/** In one hash slot with its session. */
export const counterKey = (sessionKey: string) => `{${sessionKey}}:visits`
const recordKey = (sessionKey: string) => `{${sessionKey}}:renewed`

export interface SessionRenewalOptions {
  link: RedisConnection
  log: FastifyBaseLogger
  /** Of the keys of sessions. */
  prefix: string
  writer: SessionWriter
  index: SessionIndex
  counts: SessionCounts
  idleMs: number
  maxAgeMs: number
}

/**
 * Puts a new session in the place of an old one when a user signs in: all of it happens, or none of it. The steps are in
 * different hash slots of a Cluster, so they are separate commands that may be repeated. When they are not all acknowledged
 * in time, they are undone, also those that reach Redis later.
 */
export class SessionRenewal {
  readonly #options: SessionRenewalOptions
  readonly #client: Client

  constructor(options: SessionRenewalOptions) {
    options.link.client.defineCommand('musterRetire', { numberOfKeys: 3, lua: RETIRE })
    options.link.client.defineCommand('musterRestore', { numberOfKeys: 3, lua: RESTORE })
    this.#client = options.link.client as Client
    this.#options = options
  }

  /**
   * Ends the old session, stores the new one with all visits of both, and notes whose it is.
   * @param oldId undefined: Redis has no old session
   * @throws HttpError 413 when the new session is too large, 503 when Redis does not acknowledge all of it in time
   */
  async renew(oldId: string | undefined, session: Session & { sessionId: string }, user: string): Promise<void> {
    const { link, writer, index, counts, idleMs } = this.#options
    writer.assertFits(session)
    const { sessionId, visits = 0 } = session
    let isTried = false
    let isGivenUp = false
    let counted: number | null = null
    const attempt = async () => {
      isTried = true
      if (oldId !== undefined) {
        counted = await this.#client.musterRetire(...this.#keysOf(oldId), sessionId, RECORD_MS)
      }
      if (isGivenUp) throw NO_ANSWER
      session.visits = visits + (counted ?? 0)
      const noted = index.note(user, sessionId, Math.min(UNCONFIRMED_MS, idleMs))
      await Promise.all([writer.write(sessionId, session), noted])
    }
    try {
      await link.retryUntilTimeout(attempt)
    } catch (error) {
      isGivenUp = true
      if (isTried) void this.#undo(oldId, sessionId, user)
      throw error
    }
    if (counted === null) return
    counts.ended++
    // What was in the old session is not needed any more; should this get lost, it expires.
    this.#client.hdel(recordKey(this.#options.prefix + oldId), 'value', 'ttlMs').catch(() => {})
  }

  /**
   * Counts a visit that was in flight when its session was renewed, with the visits of the new session.
   * @returns visits beside those that the old session began with; null where the session was not renewed
   */
  async count(oldId: string): Promise<number | null> {
    const { prefix, maxAgeMs } = this.#options
    const [to, counted] = await this.#client.hmget(recordKey(prefix + oldId), 'to', 'counted')
    if (!to) return null
    const key = counterKey(prefix + to)
    const [more] = await Promise.all([this.#client.incr(key), this.#client.pexpire(key, maxAgeMs)])
    return Number(counted) + more
  }

  /** Again and again until Redis has acknowledged all of it, or the record has expired. */
  async #undo(oldId: string | undefined, newId: string, user: string): Promise<void> {
    const { log, prefix, index, maxAgeMs } = this.#options
    const session = handleOf(oldId ?? newId)
    log.warn({ session }, 'sign-in failed: it is being undone')
    const newKey = prefix + newId
    for (const began = performance.now(); performance.now() - began < RECORD_MS; ) {
      try {
        await Promise.all([
          oldId && this.#client.musterRestore(...this.#keysOf(oldId), newId, RECORD_MS, maxAgeMs),
          // A write that comes later finds what is no session, and leaves it.
          this.#client.set(newKey, '', 'PX', RECORD_MS),
          this.#client.del(counterKey(newKey)),
          index.forget(user, [newId])
        ])
        return log.info({ session }, 'sign-in undone')
      } catch {
        await sleep(UNDO_RETRY_MS, undefined, { ref: false })
      }
    }
    log.error({ session }, 'sign-in not undone: its visitor may have lost the session')
  }

  #keysOf(id: string): [session: string, counter: string, record: string] {
    const key = this.#options.prefix + id
    return [key, counterKey(key), recordKey(key)]
  }
}
