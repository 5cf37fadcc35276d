import type { Session } from 'fastify'
import { HttpError } from '../../common/errors.ts'
import type { RedisClient, RedisConnection } from '../redis/redis-connection.ts'
import { NO_ANSWER } from '../redis/redis-errors.ts'
import { dataOf, decode, END_OF_SESSION, encode, merge, type StoredSession } from './session-merge.ts'
import { ABSENT, SessionSnapshot, setSnapshot, snapshotOf } from './session-snapshot.ts'

/**
 * Writes only over the version that was read: -1 where there was no session, 0 where it had no version (plain
 * connect-redis wrote it). Answers when the session began, the newer value, or nil where there is no session any more.
 * ARGV: version, beginning of the JSON, time of the beginning of a new session ('' is now), idle time, longest life.
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

/** A session whose cookie has not come back yet: a crowd without cookies must not fill Redis. */
export const UNCONFIRMED_MS = 10 * 60_000

/** How many sessions were stored for the first time, ended by somebody, and written while others wrote them. */
export interface SessionCounts {
  created: number
  ended: number
  merged: number
}

interface Write {
  session: Session
  /** The session's data as it is to be. */
  seen: string
  /** The caller does not wait any more. */
  expired: boolean
  resolve(): void
  reject(error: unknown): void
}

export interface SessionWriterOptions {
  link: RedisConnection
  /** Of the keys. */
  prefix: string
  counts: SessionCounts
  idleMs: number
  maxAgeMs: number
  /** What a session's data may have at most, in bytes of JSON. */
  maxBytes: number
}

/**
 * Writes sessions so that no concurrent request loses anything. A write is a compare and set; when another process wrote
 * first, what was changed here is merged into what that one wrote, key by key; a session that was ended is never brought
 * back. One write of a session is in flight at a time in this process, and what comes meanwhile is the next, as one.
 */
export class SessionWriter {
  readonly #client: Client
  readonly #options: SessionWriterOptions
  /** What waits for the write in flight, by session. */
  readonly #waiting = new Map<string, Write[]>()

  constructor(options: SessionWriterOptions) {
    options.link.client.defineCommand('musterCompareAndSet', { numberOfKeys: 1, lua: COMPARE_AND_SET })
    this.#client = options.link.client as Client
    this.#options = options
  }

  /**
   * Resolves when the session is stored, or when it has ended and is not.
   * @throws HttpError 413 when it has too many bytes; an error when it was not stored within the timeout of the link
   */
  write(id: string, session: Session): Promise<void> {
    const { link } = this.#options
    const seen = JSON.stringify(dataOf(session))
    return new Promise((resolve, reject) => {
      this.#assertSize(seen)
      const write: Write = {
        session,
        seen,
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
        reject(link.cause ?? NO_ANSWER)
      }, link.timeoutMs)
      const waiting = this.#waiting.get(id)
      if (waiting) waiting.push(write)
      else void this.#fly(id, [write])
    })
  }

  /** @throws HttpError 413 when the session has too many bytes */
  assertFits(session: Session): void {
    this.#assertSize(JSON.stringify(dataOf(session)))
  }

  async #fly(id: string, first: Write[]): Promise<void> {
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
        // Those who wait have waited for the same Redis, unless it is only this session that is too large.
        const failed = error instanceof HttpError ? writes : [...writes, ...waiting.splice(0)]
        for (const { reject } of failed) reject(error)
      }
      writes = waiting.splice(0).filter(({ expired }) => !expired)
    }
    this.#waiting.delete(id)
  }

  /** @param latest what was written last, if that is known @returns what is stored now; nothing: the session has ended */
  async #store(id: string, writes: Write[], latest: StoredSession | undefined): Promise<StoredSession | undefined> {
    const { prefix, counts, idleMs, maxAgeMs } = this.#options
    const changes = writes.map(({ session, seen }) => ({ base: snapshotOf(session), seen }))
    const confirmed = changes.some(({ base }) => base?.confirmed)
    const lifeMs = confirmed ? idleMs : Math.min(idleMs, UNCONFIRMED_MS)
    let current = latest ?? changes[0]?.base?.stored ?? { data: {}, createdAt: undefined, version: ABSENT }
    while (writes.some(({ expired }) => !expired)) {
      let { data } = current
      for (const { base, seen } of changes) data = merge(JSON.parse(base?.originalJson ?? '{}'), JSON.parse(seen), data)
      const { version, createdAt = '' } = current
      this.#assertSize(JSON.stringify(data))
      const key = prefix + id
      const outcome = await this.#client.musterCompareAndSet(key, version, encode(data), createdAt, lifeMs, maxAgeMs)
      if (typeof outcome === 'number') {
        if (version === ABSENT) counts.created++
        counts.merged += writes.length - 1
        const stored = { data, createdAt: outcome, version: Math.max(version, 0) + 1 }
        for (const { session, seen } of writes) {
          session.createdAt = outcome
          setSnapshot(session, new SessionSnapshot(seen, stored, confirmed))
        }
        return stored
      }
      const theirs = outcome === null ? undefined : decode(outcome)
      if (!theirs) return undefined
      counts.merged++
      current = theirs
    }
    throw NO_ANSWER
  }

  #assertSize(json: string): void {
    const { maxBytes } = this.#options
    const length = Buffer.byteLength(json)
    if (length <= maxBytes) return
    const message = `The session has ${length} bytes of JSON: SESSION_MAX_BYTES allows ${maxBytes}`
    throw new HttpError(413, 'SESSION_TOO_LARGE', message)
  }
}
