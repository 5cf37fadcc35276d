import type { Session } from 'fastify'
import type { RedisClient, RedisLink } from './redis.ts'
import { Base, baseOf, setBase } from './session-base.ts'
import { dataOf, decode, encode, merge, type StoredSession } from './session-data.ts'

/**
 * Writes only over the version that was read: -1 where there was no session, 0 where it had no version (plain
 * connect-redis wrote it). Answers 1, the newer value, or nil where there is no session any more.
 */
const COMPARE_AND_SET = `
local current = redis.call('GET', KEYS[1])
local version = -1
if current then version = tonumber(string.match(current, '"_v":(%d+)}$') or 0) end
if version ~= tonumber(ARGV[1]) then return current end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1`

type Client = RedisClient & {
  musterCompareAndSet(key: string, version: number, value: string, ttlMs: number): Promise<1 | string | null>
}

/** The version of no session. */
const ABSENT = -1
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
  resolve(): void
  reject(error: unknown): void
}

export interface SessionWriterOptions {
  link: RedisLink
  /** Of the keys. */
  prefix: string
  counts: SessionCounts
  idleMs: number
  maxAgeMs: number
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

  /** Resolves when the session is stored, or when it has ended and is not. */
  write(id: string, session: Session): Promise<void> {
    return new Promise((resolve, reject) => {
      const write = { session, seen: JSON.stringify(dataOf(session)), resolve, reject }
      const waiting = this.#waiting.get(id)
      if (waiting) waiting.push(write)
      else void this.#fly(id, [write])
    })
  }

  async #fly(id: string, first: Write[]): Promise<void> {
    const waiting: Write[] = []
    this.#waiting.set(id, waiting)
    let latest: StoredSession | undefined
    for (let writes = first; writes.length > 0; writes = waiting.splice(0)) {
      try {
        latest = await this.#store(id, writes, latest)
        for (const { resolve } of writes) resolve()
      } catch (error) {
        latest = undefined
        // Those who wait have waited for the same Redis.
        for (const { reject } of [...writes, ...waiting.splice(0)]) reject(error)
      }
    }
    this.#waiting.delete(id)
  }

  /** @param latest what was written last, if that is known @returns what is stored now; nothing: the session has ended */
  async #store(id: string, writes: Write[], latest: StoredSession | undefined): Promise<StoredSession | undefined> {
    const { link, prefix, counts, idleMs, maxAgeMs } = this.#options
    const changes = writes.map(({ session, seen }) => ({ base: baseOf(session), seen }))
    const confirmed = changes.some(({ base }) => base?.confirmed)
    let current = latest ?? changes[0]?.base?.stored ?? { data: {}, createdAt: Date.now(), version: ABSENT }
    const leftMs = current.createdAt + maxAgeMs - Date.now()
    const ttlMs = Math.min(leftMs, idleMs, confirmed ? idleMs : UNCONFIRMED_MS)
    const deadline = performance.now() + link.timeoutMs
    while (leftMs > 0) {
      if (performance.now() > deadline) throw new Error('others wrote a session again and again')
      let { data } = current
      for (const { base, seen } of changes) data = merge(JSON.parse(base?.seen ?? '{}'), JSON.parse(seen), data)
      const next = { data, createdAt: current.createdAt, version: Math.max(current.version, 0) + 1 }
      const outcome = await this.#client.musterCompareAndSet(prefix + id, current.version, encode(next), ttlMs)
      if (outcome === 1) {
        if (current.version === ABSENT) counts.created++
        counts.merged += writes.length - 1
        for (const { session, seen } of writes) {
          session.createdAt = next.createdAt
          setBase(session, new Base(seen, next, confirmed))
        }
        return next
      }
      const theirs = outcome === null ? undefined : decode(outcome)
      if (!theirs) return undefined
      counts.merged++
      current = theirs
    }
    return undefined
  }
}
