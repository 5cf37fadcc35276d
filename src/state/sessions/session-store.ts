import { RedisStore } from 'connect-redis'
import type { FastifyBaseLogger, Session } from 'fastify'
import { Cluster } from 'ioredis'
import { MultiKeyBatcher } from '../redis/multi-key-batcher.ts'
import type { RedisClient, RedisConnection } from '../redis/redis-connection.ts'
import { mapRedisErrors } from '../redis/redis-errors.ts'
import { MAX_COUNT } from '../shared/counter-batches.ts'
import type { Counter } from '../shared/counters.ts'
import { adaptSessionClass, withSnapshot } from './session-class.ts'
import { SessionIndex } from './session-index.ts'
import { decode, END_OF_SESSION, handleOf } from './session-merge.ts'
import { SessionRenewal } from './session-renewal.ts'
import { ABSENT, SessionSnapshot, setSnapshot, snapshotOf } from './session-snapshot.ts'
import { COUNT_VISIT, counterKey, SessionVisits } from './session-visits.ts'
import { type SessionCounts, SessionWriter } from './session-writer.ts'

/**
 * Reads sessions and restarts their idle time, ARGV[1]. Returns the value of each, the time in ms until it reaches its maximum age,
 * ARGV[2], and what was counted. The value is false where there is no session, or one past that age, which is deleted; '' where a
 * key does not hold text.
 *
 * With ARGV[3] = 2, KEYS are sessions and their counters in turn, and behind them the counter of hits, if hits may be counted. ARGV[4]
 * is the highest number of a hit. Each argument after it says what a query counts: a "visit" of the session, a "hit", or "both".
 */
const READ = `${END_OF_SESSION}${COUNT_VISIT}
local idleMs, maxAgeMs, step, now = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), nowMs()
local found, hits = {}, {}
for i = 1, #KEYS - #KEYS % step, step do
  local key, query = KEYS[i], (i - 1) / step + 1
  local counts = ARGV[4 + query]
  local value = redis.pcall('GETEX', key, 'PX', ARGV[1])
  if type(value) == 'table' then value = '' end
  local leftMs, counted, visits = 0, false, false
  if value then
    leftMs = (readEnd(value) or now) + maxAgeMs - now
    if leftMs <= 0 then redis.call('DEL', key)
    else
      if leftMs < idleMs then redis.call('PEXPIRE', key, string.format('%.0f', leftMs)) end
      -- A key that is no counter is an error of the handler that counts, and not of all sessions of the batch.
      if counts == 'visit' or counts == 'both' then counted, visits = pcall(countVisit, KEYS[i + 1], ARGV[2]) end
    end
  end
  found[query] = { value, leftMs, counted and visits, false }
  if counts == 'hit' or counts == 'both' then hits[#hits + 1] = found[query] end
end
local function countHits()
  local last = redis.call('INCRBY', KEYS[#KEYS], #hits)
  if last > tonumber(ARGV[4]) then
    redis.call('INCRBY', KEYS[#KEYS], -#hits)
    return
  end
  for i, session in ipairs(hits) do session[4] = last - #hits + i end
end
if #hits > 0 then pcall(countHits) end
return found`

type Found = [text: string | null, leftMs: number, visits: number | null, hit: number | null]

/** What a request counts in the command that reads its session. */
export type Counts = 'visit' | 'hit' | 'both'

/** A session that was read. */
export interface LoadedSession {
  /** Null where there is none. */
  session: object | null
  /** The number of the hit; undefined where none was counted. */
  hit: number | undefined
}

const COUNTS_WITHOUT_HIT = { visit: 'visit', hit: undefined, both: 'visit' } as const

type Callback<T> = (error: unknown, result?: T | null) => void
type IdentifiedSession = Session & { sessionId: string }

export interface SessionStoreOptions {
  connection: RedisConnection
  log: FastifyBaseLogger
  /** A session ends when it was not used for this time, in ms. */
  idleMs: number
  /** A session ends this long after it began, in ms. */
  maxAgeMs: number
  /** Most bytes of a session's data as JSON. */
  maxBytes: number
  /** The counter of {@link Counts}. */
  hits: Counter
}

/** An entry of a user's index outlives its session by this time at most, in ms. */
const INDEX_SLACK_MS = 5 * 60_000
/** Unreadable sessions that are remembered so that each is logged once. */
const MAX_UNREADABLE = 1000

/**
 * A connect-redis store that is safe for concurrent requests of one session. One GETEX reads a session and prolongs it, in one
 * batch for all requests of a turn of the event loop; {@link SessionWriter} writes.
 */
export class SafeSessionStore extends RedisStore {
  /** Of this worker, since its start. */
  readonly counts: SessionCounts = { created: 0, ended: 0, merged: 0 }
  /** The sessions of each user. */
  readonly index: SessionIndex
  readonly visits: SessionVisits
  readonly #client: RedisClient
  readonly #options: SessionStoreOptions
  readonly #reads: MultiKeyBatcher<Found>
  readonly #countingReads: MultiKeyBatcher<Found>
  /** Whether one command may count hits of sessions: not in a Redis Cluster, nor where the last hits of a worker are kept for replays. */
  readonly #canCountHits: boolean
  readonly #writer: SessionWriter
  readonly #renewal: SessionRenewal
  readonly #unreadable = new Set<string>()

  /** @throws StartupError when the installed @fastify/session is not supported */
  constructor(options: SessionStoreOptions) {
    const { connection, hits, idleMs, maxAgeMs } = options
    super({ client: connection.client, prefix: connection.keys.of('session:') })
    adaptSessionClass()
    const { prefix, counts } = this
    const { client, writes } = connection
    this.#client = client
    this.#options = options
    this.#canCountHits = !(client instanceof Cluster) && !connection.confirmations
    this.#reads = new MultiKeyBatcher(connection, {
      client,
      name: 'musterReadSessions',
      lua: READ,
      scriptArguments: [idleMs, maxAgeMs, 1]
    })
    this.#countingReads = new MultiKeyBatcher(connection, {
      client: writes,
      name: 'musterVisitSessions',
      lua: READ,
      scriptArguments: [idleMs, maxAgeMs, 2, MAX_COUNT],
      commonKeys: this.#canCountHits ? [hits.key] : [],
      onReplies: (replies) => {
        const counted = replies.filter(([, , , hit]) => hit !== null).length
        if (counted > 0) hits.onBatch?.(counted)
      }
    })
    this.#writer = new SessionWriter({ ...options, prefix, counts })
    this.index = new SessionIndex(connection, Math.min(INDEX_SLACK_MS, idleMs / 2))
    this.#renewal = new SessionRenewal({ ...options, prefix, counts, index: this.index, writer: this.#writer })
    this.visits = new SessionVisits({
      connection,
      prefix,
      maxAgeMs,
      countReplaced: (id) => this.#renewal.count(id)
    })
  }

  override get(id: string, done: Callback<unknown> = () => {}): Promise<void> {
    return callBack(
      this.load(id).then(({ session }) => session),
      done
    )
  }

  /**
   * Reads a session.
   * @param counts what to count in the same command. A hit may be left to `shared.hits.increment()`
   * @throws HttpError 503 when Redis did not answer in time: it may have counted all the same
   */
  async load(id: string, counts?: Counts): Promise<LoadedSession> {
    const [text, leftMs, visits, hit] = await mapRedisErrors(this.#query(this.prefix + id, counts))
    return { session: text === null ? null : this.#parse(id, text, leftMs, visits ?? undefined), hit: hit ?? undefined }
  }

  #query(key: string, counts: Counts | undefined): Promise<Found> {
    const possible = counts && !this.#canCountHits ? COUNTS_WITHOUT_HIT[counts] : counts
    return possible ? this.#countingReads.query([key, counterKey(key)], possible) : this.#reads.query([key])
  }

  override set(id: string, session: unknown, done: Callback<unknown> = () => {}): Promise<void> {
    return callBack(this.#writer.write(id, session as Session), done)
  }

  override destroy(id: string, done: Callback<unknown> = () => {}): Promise<void> {
    return callBack(this.end(id), done)
  }

  /** Stores what the handler has put into the session. @throws HttpError 413 when it is too large, 503 without Redis */
  save(session: IdentifiedSession): Promise<void> {
    return mapRedisErrors(this.#writer.write(session.sessionId, session))
  }

  /** Whether Redis has the session, as far as this request knows. */
  isStored(session: Session): boolean {
    return (snapshotOf(session)?.stored.version ?? ABSENT) !== ABSENT
  }

  /** Returns when a stored session reaches its maximum age. */
  endOf(session: Session): Date {
    return new Date(snapshotOf(session)!.stored.createdAt + this.#options.maxAgeMs)
  }

  /** Whether Redis has the session at this moment. @throws HttpError 503 */
  async exists(id: string): Promise<boolean> {
    return (await mapRedisErrors(this.#client.exists(this.prefix + id))) === 1
  }

  /** Ends a session. @returns whether there was one, and its final counter of visits @throws HttpError 503 */
  async end(id: string): Promise<{ ended: boolean; counted: number }> {
    const key = this.prefix + id
    // In this order, on one connection: no visit is counted after the session has ended.
    const { writes } = this.#options.connection
    const commands = [writes.del(key), writes.getdel(counterKey(key))] as const
    const [ended, counted] = await mapRedisErrors(Promise.all(commands))
    this.counts.ended += ended
    return { ended: ended === 1, counted: Number(counted ?? 0) }
  }

  /** Reads when a session began and how long it may stay idle, without prolonging it. @throws HttpError 503 */
  async inspect(id: string): Promise<{ createdAt: number; idleLeftMs: number } | undefined> {
    const key = this.prefix + id
    const reads = [this.#client.get(key).catch(emptyIfWrongType), this.#client.pttl(key)] as const
    const [text, idleLeftMs] = await mapRedisErrors(Promise.all(reads))
    const stored = text === null ? undefined : decode(text)
    if (!stored) return undefined
    // The TTL of the key never exceeds the session's maximum age.
    return idleLeftMs > 0 ? { createdAt: stored.createdAt, idleLeftMs } : undefined
  }

  /** Makes a session begin now, by Redis' clock. It is not stored yet. @throws HttpError 503 */
  async begin(session: Session): Promise<void> {
    const [seconds, microseconds] = await mapRedisErrors(this.#client.time())
    const createdAt = Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000)
    setSnapshot(session, new SessionSnapshot('{}', { data: {}, createdAt, version: ABSENT }, false))
    session.createdAt = createdAt
  }

  /**
   * Replaces a session by one that {@link begin} was called for, and adds that to the index of its user: completely, or not at all.
   * @throws HttpError 413 when the new session is too large, 503 when Redis does not answer in time
   */
  renew(old: IdentifiedSession, session: IdentifiedSession, user: string): Promise<void> {
    return mapRedisErrors(this.#renewal.renew(this.isStored(old) ? old.sessionId : undefined, session, user))
  }

  /** @returns null where the text is not a session, or where the session has reached its maximum age */
  #parse(id: string, text: string, leftMs: number, visits: number | undefined): object | null {
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
    if (typeof data.name === 'string') this.index.refresh(data.name, id, Math.min(this.#options.idleMs, leftMs))
    return withSnapshot({ ...data, createdAt }, new SessionSnapshot(JSON.stringify(data), stored, true, visits))
  }

  #logUnreadable(id: string): void {
    if (this.#unreadable.has(id)) return
    if (this.#unreadable.size >= MAX_UNREADABLE) this.#unreadable.clear()
    this.#unreadable.add(id)
    this.#options.log.warn({ session: handleOf(id) }, 'unreadable session in Redis ignored')
  }
}

const callBack = <T>(work: Promise<T>, done: Callback<T>): Promise<void> =>
  mapRedisErrors(work).then((result) => done(null, result), done)

/** Treats a key that does not hold text like an empty one: neither is a session. */
function emptyIfWrongType(error: unknown): string {
  if (/^WRONGTYPE/.test((error as Error).message)) return ''
  throw error
}
