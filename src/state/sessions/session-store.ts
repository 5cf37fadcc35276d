import { RedisStore } from 'connect-redis'
import type { FastifyBaseLogger, Session } from 'fastify'
import { HttpError, stateUnavailable } from '../../common/errors.ts'
import { MultiKeyBatcher } from '../redis/multi-key-batcher.ts'
import type { RedisClient, RedisConnection } from '../redis/redis-connection.ts'
import { SessionIndex } from './session-index.ts'
import { decode, END_OF_SESSION, handleOf } from './session-merge.ts'
import { counterKey, SessionRenewal } from './session-renewal.ts'
import { ABSENT, isChanged, SessionSnapshot, setSnapshot, snapshotOf, withSnapshot } from './session-snapshot.ts'
import { type SessionCounts, SessionWriter } from './session-writer.ts'

/**
 * Reads sessions and begins their idle time, ARGV[1], anew. Answers the value and how long it has until its longest life,
 * ARGV[2], is over, in ms; one that is over is deleted. '' where a key holds something else than text.
 */
const READ = `${END_OF_SESSION}
local idleMs, maxAgeMs, now = tonumber(ARGV[1]), tonumber(ARGV[2]), nowMs()
local found = {}
for i, key in ipairs(KEYS) do
  local value = redis.pcall('GETEX', key, 'PX', ARGV[1])
  if type(value) == 'table' then value = '' end
  if value then
    local leftMs = (readEnd(value) or now) + maxAgeMs - now
    if leftMs <= 0 then redis.call('DEL', key)
    elseif leftMs < idleMs then redis.call('PEXPIRE', key, string.format('%.0f', leftMs)) end
    value = { value, leftMs }
  end
  found[i] = value
end
return found`

/**
 * Counts for sessions, each in a key that lives and dies with it: a session that is gone is not brought back. KEYS are
 * sessions and their counters in turn.
 */
const COUNT = `
local counted = {}
for i = 1, #KEYS, 2 do
  local value = false
  if redis.call('EXISTS', KEYS[i]) == 1 then
    value = redis.call('INCR', KEYS[i + 1])
    redis.call('PEXPIRE', KEYS[i + 1], ARGV[1])
  end
  counted[(i + 1) / 2] = value
end
return counted`

type Callback<T> = (error: unknown, result?: T | null) => void

declare module 'fastify' {
  interface Session {
    /** When the session was first stored, in ms since 1970 by the clock of Redis; to be read, what a handler writes there is ignored. */
    createdAt?: number
    /** Who signed in. */
    name?: string
  }
}

export interface SessionStoreOptions {
  link: RedisConnection
  log: FastifyBaseLogger
  /** A session ends when unused for so long, in ms. */
  idleMs: number
  /** A session ends so long after it began, in ms. */
  maxAgeMs: number
  /** What a handler puts into a session may have so many bytes of JSON. */
  maxBytes: number
}

/** An entry of a user's index outlives its session by so much at most, in ms. */
const INDEX_SLACK_MS = 5 * 60_000
/** Unreadable sessions that are remembered so that each is logged once. */
const MAX_UNREADABLE = 1000

/**
 * connect-redis, safe for concurrent requests of one session: one GETEX reads and keeps alive, for all requests of a turn together, and {@link SessionWriter}
 * writes. Of the store, @fastify/session calls get, set and destroy only.
 */
export class SafeSessionStore extends RedisStore {
  /** Of this worker, since its start. */
  readonly counts: SessionCounts = { created: 0, ended: 0, merged: 0 }
  /** Whose session is whose. */
  readonly index: SessionIndex
  readonly #client: RedisClient
  readonly #options: SessionStoreOptions
  readonly #reads: MultiKeyBatcher<[text: string, leftMs: number] | null>
  readonly #visits: MultiKeyBatcher<number | null>
  readonly #writer: SessionWriter
  readonly #renewal: SessionRenewal
  readonly #unreadable = new Set<string>()

  constructor(options: SessionStoreOptions) {
    super({ client: options.link.client, prefix: options.link.keys.of('session:') })
    this.#client = options.link.client
    this.#reads = new MultiKeyBatcher(options.link, 'musterReadSessions', READ, options.idleMs, options.maxAgeMs)
    // A counter may outlive its session, whose life is slid by requests that do not count; nothing reads it then.
    this.#visits = new MultiKeyBatcher(options.link, 'musterCountVisits', COUNT, options.maxAgeMs)
    this.#options = options
    this.#writer = new SessionWriter({ ...options, prefix: this.prefix, counts: this.counts })
    this.index = new SessionIndex(options.link, Math.min(INDEX_SLACK_MS, options.idleMs / 2))
    const { prefix, counts, index } = this
    this.#renewal = new SessionRenewal({ ...options, prefix, counts, index, writer: this.#writer })
  }

  override get(id: string, done: Callback<unknown> = () => {}): Promise<void> {
    return answer(this.#read(id), done)
  }

  override set(id: string, session: unknown, done: Callback<unknown> = () => {}): Promise<void> {
    return answer(this.#writer.write(id, session as Session), done)
  }

  override destroy(id: string, done: Callback<unknown> = () => {}): Promise<void> {
    return answer(this.#end(id), done)
  }

  /** Stores what the handler has put in. @throws HttpError 413 when that is too large, 503 when Redis does not say */
  save(session: Session & { sessionId: string }): Promise<void> {
    return mapRedisErrors(this.#writer.write(session.sessionId, session))
  }

  /** Whether Redis has the session, as far as this request knows. */
  isStored(session: Session): boolean {
    return (snapshotOf(session)?.stored.version ?? ABSENT) !== ABSENT
  }

  /** Whether the handler has put anything into the session, or changed what is there. */
  isChanged(session: Session): boolean {
    return isChanged(session)
  }

  /** Returns when a session that is stored ends at the latest. */
  endOf(session: Session): Date {
    return new Date(snapshotOf(session)!.stored.createdAt + this.#options.maxAgeMs)
  }

  /** Whether Redis has the session at this moment. @throws HttpError 503 */
  async exists(id: string): Promise<boolean> {
    return (await mapRedisErrors(this.#client.exists(this.prefix + id))) === 1
  }

  /**
   * Adds one to the session's counter, or to that of the session that has taken its place meanwhile.
   * @returns its new value; null when the session is gone @throws HttpError 503
   */
  async count(id: string): Promise<number | null> {
    const key = this.prefix + id
    const counted = await mapRedisErrors(this.#visits.ask([key, counterKey(key)]))
    return counted ?? mapRedisErrors(this.#renewal.count(id))
  }

  /** The session's counter as it is. @throws HttpError 503 */
  async counted(id: string): Promise<number> {
    return Number((await mapRedisErrors(this.#client.get(counterKey(this.prefix + id)))) ?? 0)
  }

  /** Ends a session. @returns whether there was one, and its counter, which is final @throws HttpError 503 */
  end(id: string): Promise<{ ended: boolean; counted: number }> {
    return mapRedisErrors(this.#end(id))
  }

  /** What Redis has, which is not kept alive by it. @throws HttpError 503 */
  async look(id: string): Promise<{ createdAt: number; idleLeftMs: number } | undefined> {
    const key = this.prefix + id
    const reads = [this.#client.get(key).catch(wrongTypeAsText), this.#client.pttl(key)] as const
    const [text, idleLeftMs] = await mapRedisErrors(Promise.all(reads))
    const stored = text === null ? undefined : decode(text)
    if (!stored) return undefined
    // Every read and write gives the key no longer than until the end of the session's longest life.
    return idleLeftMs > 0 ? { createdAt: stored.createdAt, idleLeftMs } : undefined
  }

  /** Lets a session begin now, by the clock of Redis, which is not stored yet. @throws HttpError 503 */
  async begin(session: Session): Promise<void> {
    const [seconds, microseconds] = await mapRedisErrors(this.#client.time())
    const createdAt = Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000)
    setSnapshot(session, new SessionSnapshot('{}', { data: {}, createdAt, version: ABSENT }, false))
    session.createdAt = createdAt
  }

  /**
   * Puts a session that {@link begin} was called for in the place of another one, and notes whose it is: all of it, or nothing.
   * @throws HttpError 413 when it is too large, 503 when Redis does not answer in time
   */
  renew(old: Session & { sessionId: string }, session: Session & { sessionId: string }, user: string): Promise<void> {
    return mapRedisErrors(this.#renewal.renew(this.isStored(old) ? old.sessionId : undefined, session, user))
  }

  /** Nothing where the data is no session of ours, or older than a session may become. */
  async #read(id: string): Promise<object | null> {
    const { idleMs } = this.#options
    const found = await this.#reads.ask([this.prefix + id])
    if (!found) return null
    const [text, leftMs] = found
    if (leftMs <= 0) {
      this.counts.ended++
      return null
    }
    const stored = decode(text)
    if (!stored) {
      this.#logUnreadable(id)
      return null
    }
    const { data, createdAt } = stored
    if (typeof data.name === 'string') this.index.keep(data.name, id, Math.min(idleMs, leftMs))
    return withSnapshot({ ...data, createdAt }, new SessionSnapshot(JSON.stringify(data), stored, true))
  }

  async #end(id: string): Promise<{ ended: boolean; counted: number }> {
    const key = this.prefix + id
    // In this order, on one connection: what is gone is not counted any more.
    const [ended, counted] = await Promise.all([this.#client.del(key), this.#client.getdel(counterKey(key))])
    this.counts.ended += ended
    return { ended: ended === 1, counted: Number(counted ?? 0) }
  }

  #logUnreadable(id: string): void {
    if (this.#unreadable.has(id)) return
    if (this.#unreadable.size >= MAX_UNREADABLE) this.#unreadable.clear()
    this.#unreadable.add(id)
    this.#options.log.warn({ session: handleOf(id) }, 'a session in Redis is not readable and is taken for none')
  }
}

/** @throws HttpError as it is, and 503 for whatever Redis says */
export function mapRedisErrors<T>(work: Promise<T>): Promise<T> {
  return work.catch((error: unknown) => {
    throw error instanceof HttpError ? error : stateUnavailable(error)
  })
}

const answer = <T>(work: Promise<T>, done: Callback<T>): Promise<void> =>
  mapRedisErrors(work).then((result) => done(null, result), done)

/** A key that holds something else than text holds no session. */
function wrongTypeAsText(error: unknown): string {
  if (/^WRONGTYPE/.test((error as Error).message)) return ''
  throw error
}
