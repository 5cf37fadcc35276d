import type { Session } from 'fastify'
import { HttpError } from '../../common/errors.ts'
import type { RedisClient, RedisConnection } from '../redis/redis-connection.ts'
import { NO_ANSWER } from '../redis/redis-errors.ts'
import { dataOf, decode, END_OF_SESSION, encode, merge, type SessionData, type StoredSession } from './session-merge.ts'
import { ABSENT, SessionSnapshot, setSnapshot, snapshotOf } from './session-snapshot.ts'

/**
 * Overwrites only the version that was read: -1 where there was no session, 0 where it has no version (plain connect-redis wrote
 * it). Returns when the session began; or the current value where its version differs; or nil where the session has ended.
 * ARGV: version, beginning of the JSON, when a new session began ('' is now), idle time, maximum age.
 */
const COMPARE_AND_SET = `${END_OF_SESSION}
local current = redis.call('GET', KEYS[1])
local createdAt, version = nil, -1
if current then createdAt, version = readEnd(current) end
if version ~= tonumber(ARGV[1]) then return current end
local now = nowMs()
createdAt = createdAt or tonumber(ARGV[3]) or now
local ttlMs = math.min(ARGV[4], createdAt + ARGV[5] - now)
if ttlMs < 1 then return false end
redis.call('SET', KEYS[1], ARGV[2] .. endOfSession(createdAt, math.max(version, 0) + 1), 'PX', string.format('%.0f', ttlMs))
return createdAt`

type Client = RedisClient & {
  musterCompareAndSet(
    key: string,
    version: number,
    beginning: string,
    createdAt: number | '',
    idleMs: number,
    maxAgeMs: number
  ): Promise<number | string | null>
}

/** Idle time of a session whose cookie has not come back yet, in ms. Clients without cookies must not fill Redis. */
export const UNCONFIRMED_MS = 10 * 60_000

/** Numbers of sessions since the worker started. */
export interface SessionCounts {
  /** Stored for the first time. */
  created: number
  /** Ended by a sign-out, a sign-in, an operator or their maximum age. */
  ended: number
  /** Writes that were merged with a concurrent write. */
  merged: number
}

interface Write {
  session: Session
  /** The session's data as the handler wants it stored, as JSON. */
  json: string
  /** Whether the caller has timed out. */
  expired: boolean
  resolve(): void
  reject(error: unknown): void
}

export interface SessionWriterOptions {
  connection: RedisConnection
  /** Prefix of the keys of sessions. */
  prefix: string
  counts: SessionCounts
  idleMs: number
  maxAgeMs: number
  /** Most bytes of a session's data as JSON. */
  maxBytes: number
}

/**
 * Writes sessions so that concurrent requests lose nothing. A write is a compare-and-set. Where another process wrote first, the
 * changes of this request are merged into the newer value, key by key. A session that was ended is never brought back. A process
 * has one write of each session in flight; writes that arrive meanwhile are combined into the next one.
 */
export class SessionWriter {
  readonly #client: Client
  readonly #options: SessionWriterOptions
  /** By session id: the writes that wait for the write in flight. */
  readonly #waiting = new Map<string, Write[]>()

  constructor(options: SessionWriterOptions) {
    const { writes } = options.connection
    writes.defineCommand('musterCompareAndSet', { numberOfKeys: 1, lua: COMPARE_AND_SET })
    this.#client = writes as Client
    this.#options = options
  }

  /**
   * Resolves when the session is stored, or when it has ended and is therefore not stored.
   * @throws HttpError 413 when it has too many bytes; an error when it was not stored within the timeout of the connection
   */
  write(id: string, session: Session): Promise<void> {
    const { connection } = this.#options
    const json = JSON.stringify(dataOf(session))
    return new Promise((resolve, reject) => {
      this.#assertSize(json)
      const write: Write = {
        session,
        json,
        expired: false,
        resolve: () => {
          clearTimeout(timer)
          resolve()
        },
        reject: (error) => {
          clearTimeout(timer)
          reject(error)
        }
      }
      const timer = setTimeout(() => {
        write.expired = true
        reject(connection.cause ?? NO_ANSWER)
      }, connection.timeoutMs)
      const waiting = this.#waiting.get(id)
      if (waiting) waiting.push(write)
      else void this.#writeAll(id, [write])
    })
  }

  /** @throws HttpError 413 when the session has too many bytes */
  assertFits(session: Session): void {
    this.#assertSize(JSON.stringify(dataOf(session)))
  }

  /** Writes a session until no write of it waits. */
  async #writeAll(id: string, first: Write[]): Promise<void> {
    const waiting: Write[] = []
    this.#waiting.set(id, waiting)
    let latest: StoredSession | undefined
    let writes = first
    while (writes.length > 0) {
      try {
        latest = await this.#store(id, writes, latest)
        for (const { resolve } of writes) resolve()
      } catch (error) {
        latest = undefined
        // An error of Redis concerns the waiting writes too; an HttpError says that only this session is too large.
        const failed = error instanceof HttpError ? writes : [...writes, ...waiting.splice(0)]
        for (const { reject } of failed) reject(error)
      }
      writes = waiting.splice(0).filter(({ expired }) => !expired)
    }
    this.#waiting.delete(id)
  }

  /**
   * Merges and stores until no other process has written meanwhile.
   * @param latest what this process wrote last, if it is known
   * @returns what is stored now; undefined where the session has ended
   */
  async #store(id: string, writes: Write[], latest: StoredSession | undefined): Promise<StoredSession | undefined> {
    const { counts, idleMs } = this.#options
    const changes = writes.map(({ session, json }) => ({ snapshot: snapshotOf(session), json }))
    const confirmed = changes.some(({ snapshot }) => snapshot?.confirmed)
    const lifeMs = confirmed ? idleMs : Math.min(idleMs, UNCONFIRMED_MS)
    let current = latest ?? changes[0]?.snapshot?.stored ?? { data: {}, createdAt: undefined, version: ABSENT }
    while (writes.some(({ expired }) => !expired)) {
      let { data } = current
      for (const { snapshot, json } of changes) {
        data = merge(JSON.parse(snapshot?.originalJson ?? '{}'), JSON.parse(json), data)
      }
      const { version, createdAt = '' } = current
      const outcome = await this.#compareAndSet(id, version, data, createdAt, lifeMs)
      if (typeof outcome === 'number') {
        const stored = { data, createdAt: outcome, version: Math.max(version, 0) + 1 }
        if (version === ABSENT) counts.created++
        counts.merged += writes.length - 1
        for (const { session, json } of writes) {
          session.createdAt = outcome
          setSnapshot(session, new SessionSnapshot(json, stored, confirmed))
        }
        return stored
      }
      const newer = outcome === null ? undefined : decode(outcome)
      if (!newer) return undefined
      counts.merged++
      current = newer
    }
    throw NO_ANSWER
  }

  #compareAndSet(id: string, version: number, data: SessionData, createdAt: number | '', lifeMs: number) {
    const { prefix, maxAgeMs } = this.#options
    this.#assertSize(JSON.stringify(data))
    return this.#client.musterCompareAndSet(prefix + id, version, encode(data), createdAt, lifeMs, maxAgeMs)
  }

  #assertSize(json: string): void {
    const { maxBytes } = this.#options
    const length = Buffer.byteLength(json)
    if (length <= maxBytes) return
    const message = `The session has ${length} bytes of JSON: SESSION_MAX_BYTES allows ${maxBytes}`
    throw new HttpError(413, 'SESSION_TOO_LARGE', message)
  }
}
