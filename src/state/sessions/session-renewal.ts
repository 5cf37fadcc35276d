import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyBaseLogger, Session } from 'fastify'
import type { RedisClient, RedisConnection } from '../redis/redis-connection.ts'
import { NO_ANSWER } from '../redis/redis-errors.ts'
import { retryUntilTimeout } from '../redis/retry.ts'
import type { SessionIndex } from './session-index.ts'
import { handleOf } from './session-merge.ts'
import { counterKey } from './session-visits.ts'
import { type SessionCounts, type SessionWriter, UNCONFIRMED_MS } from './session-writer.ts'

/**
 * Ends a session in favour of a new one, ARGV[1]. KEYS: the session, its counter, and a record of the renewal, which lives for
 * ARGV[2] ms. The record tells visits in flight the new session, and has what RESTORE needs. Returns the number of counted
 * visits, also when it is repeated; nil where there is no session; an error when the renewal was undone before.
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

/** Undoes RETIRE, also one that arrives later. ARGV: id of the new session, life of the record, life of the counter. */
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

type Keys = [session: string, counter: string, record: string]
type Client = RedisClient & {
  musterRetire(...args: [...Keys, newId: string, recordMs: number]): Promise<number | null>
  musterRestore(...args: [...Keys, newId: string, recordMs: number, counterMs: number]): Promise<1>
}

/** Life of the record of a renewal, in ms: visits in flight and undoing may take this long. */
const RECORD_MS = 10 * 60_000
/** The pause before undoing is tried again, in ms. */
const UNDO_RETRY_MS = 250

/** Returns the key of the record of a renewal, in one hash slot with the old session. */
const recordKey = (sessionKey: string) => `{${sessionKey}}:renewed`

export interface SessionRenewalOptions {
  connection: RedisConnection
  log: FastifyBaseLogger
  /** Prefix of the keys of sessions. */
  prefix: string
  writer: SessionWriter
  index: SessionIndex
  counts: SessionCounts
  idleMs: number
  maxAgeMs: number
}

/** A renewal that is under way. */
interface Renewal {
  /** undefined: Redis has no old session. */
  readonly oldId: string | undefined
  readonly session: Session & { sessionId: string }
  readonly user: string
  /** Visits of the new session without those that are counted beside the old one. */
  readonly visits: number
  /** Visits that were counted beside the old session; null before Redis has said so. */
  counted: number | null
  /** Whether Redis may have received any step. */
  isStarted: boolean
  /** Whether the caller has got an error, so that no further step may be sent. */
  isGivenUp: boolean
}

/**
 * Replaces a session by a new one when a user signs in: completely, or not at all. The steps concern several hash slots of a
 * Cluster, so they are separate commands that may be repeated. Where they are not all acknowledged in time, they are undone,
 * also those that reach Redis later.
 */
export class SessionRenewal {
  readonly #options: SessionRenewalOptions
  readonly #client: Client

  constructor(options: SessionRenewalOptions) {
    const { writes } = options.connection
    writes.defineCommand('musterRetire', { numberOfKeys: 3, lua: RETIRE })
    writes.defineCommand('musterRestore', { numberOfKeys: 3, lua: RESTORE })
    this.#client = writes as Client
    this.#options = options
  }

  /**
   * Ends the old session, stores the new one with all visits of both, and adds it to the index of its user.
   * @param oldId undefined: Redis has no old session
   * @throws HttpError 413 when the new session is too large, 503 when Redis does not acknowledge every step in time
   */
  async renew(oldId: string | undefined, session: Session & { sessionId: string }, user: string): Promise<void> {
    const { connection, writer, counts, prefix } = this.#options
    writer.assertFits(session)
    const { visits = 0 } = session
    const renewal: Renewal = { oldId, session, user, visits, counted: null, isStarted: false, isGivenUp: false }
    try {
      await retryUntilTimeout(connection, () => this.#attempt(renewal))
    } catch (error) {
      renewal.isGivenUp = true
      if (renewal.isStarted) void this.#undo(renewal)
      throw error
    }
    if (renewal.counted === null) return
    counts.ended++
    // The data of the old session is not needed any more. If this command gets lost, the record expires.
    this.#client.hdel(recordKey(prefix + oldId), 'value', 'ttlMs').catch(() => {})
  }

  /**
   * Counts a visit that was in flight when its session was renewed, for the new session.
   * @returns visits beside those that the old session began with; null where the session was not renewed
   */
  async count(oldId: string): Promise<number | null> {
    const { prefix, maxAgeMs } = this.#options
    const [to, counted] = await this.#client.hmget(recordKey(prefix + oldId), 'to', 'counted')
    if (!to) return null
    const key = counterKey(prefix + to)
    const [since] = await Promise.all([this.#client.incr(key), this.#client.pexpire(key, maxAgeMs)])
    return Number(counted) + since
  }

  async #attempt(renewal: Renewal): Promise<void> {
    const { writer, index, idleMs } = this.#options
    const { oldId, session, user, visits } = renewal
    const { sessionId } = session
    renewal.isStarted = true
    if (oldId !== undefined) {
      renewal.counted = await this.#client.musterRetire(...this.#keysOf(oldId), sessionId, RECORD_MS)
    }
    if (renewal.isGivenUp) throw NO_ANSWER
    session.visits = visits + (renewal.counted ?? 0)
    const indexed = index.add(user, sessionId, Math.min(UNCONFIRMED_MS, idleMs))
    await Promise.all([writer.write(sessionId, session), indexed])
  }

  /** Retries until Redis has acknowledged that every step is undone, or until the record has expired. */
  async #undo({ oldId, session, user }: Renewal): Promise<void> {
    const { log, prefix, index, maxAgeMs } = this.#options
    const newId = session.sessionId
    const handle = handleOf(oldId ?? newId)
    const newKey = prefix + newId
    log.warn({ session: handle }, 'sign-in failed, undoing it')
    for (const startedAt = performance.now(); performance.now() - startedAt < RECORD_MS; ) {
      try {
        await Promise.all([
          oldId && this.#client.musterRestore(...this.#keysOf(oldId), newId, RECORD_MS, maxAgeMs),
          // A write that arrives later finds a value that is not a session, and does not change it.
          this.#client.set(newKey, '', 'PX', RECORD_MS),
          this.#client.del(counterKey(newKey)),
          index.remove(user, [newId])
        ])
        return log.info({ session: handle }, 'sign-in undone')
      } catch {
        await sleep(UNDO_RETRY_MS, undefined, { ref: false })
      }
    }
    log.error({ session: handle }, 'sign-in not undone: the visitor may have lost the session')
  }

  #keysOf(id: string): Keys {
    const key = this.#options.prefix + id
    return [key, counterKey(key), recordKey(key)]
  }
}
