import { RedisStore } from 'connect-redis'
import type { FastifyBaseLogger, Session } from 'fastify'
import type { Redis } from 'ioredis'
import { stateUnavailable } from '../errors.ts'
import { PREFIX, type RedisLink } from './redis.ts'

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

/** Counts in a key that lives and dies with its session: a session that is gone is not brought back. */
const COUNT = `
if redis.call('EXISTS', KEYS[1]) == 0 then return nil end
local value = redis.call('INCR', KEYS[2])
redis.call('PEXPIRE', KEYS[2], ARGV[1])
return value`

type Client = Redis & {
  musterCompareAndSet(key: string, version: number, value: string, ttlMs: number): Promise<1 | string | null>
  musterCount(key: string, counter: string, ttlMs: number): Promise<number | null>
}

/** A session as it is stored: JSON that connect-redis can read, its version the last member. */
type Stored = Record<string, unknown>
type Callback<T> = (error: unknown, result?: T | null) => void

/**
 * What a session was when it was read. @fastify/session copies enumerable properties only, so it travels as one, and
 * is left out of the JSON that is stored and hashed.
 */
class Base {
  readonly json: string
  readonly version: number
  /** Its cookie has come back at least once. */
  readonly confirmed: boolean

  constructor(json: string, version: number, confirmed: boolean) {
    this.json = json
    this.version = version
    this.confirmed = confirmed
  }

  toJSON(): undefined {
    return undefined
  }
}
type Tracked = Session & { _base?: Base }

declare module 'fastify' {
  interface Session {
    /** When the session was first stored, in ms since 1970. */
    createdAt?: number
  }
}

export interface SessionStoreOptions {
  link: RedisLink
  log: FastifyBaseLogger
  /** A session ends when unused for so long, in ms. */
  idleMs: number
  /** A session ends so long after it began, in ms. */
  maxAgeMs: number
}

/** The version of no session. */
const ABSENT = -1
/** A session whose cookie has not come back yet: a crowd without cookies must not fill Redis. */
const UNCONFIRMED_MS = 10 * 60_000

/**
 * connect-redis, safe for concurrent requests of one session: one GETEX reads and keeps alive; a write is a compare and
 * set; when another request wrote first, what this one changed is merged into what that one wrote, key by key; a session
 * that was ended is never brought back. Of the store, @fastify/session calls get, set and destroy only.
 */
export class SafeSessionStore extends RedisStore {
  readonly #client: Client
  readonly #options: SessionStoreOptions

  constructor(options: SessionStoreOptions) {
    super({ client: options.link.client, prefix: `${PREFIX}session:` })
    options.link.client.defineCommand('musterCompareAndSet', { numberOfKeys: 1, lua: COMPARE_AND_SET })
    options.link.client.defineCommand('musterCount', { numberOfKeys: 2, lua: COUNT })
    this.#client = options.link.client as Client
    this.#options = options
  }

  override async get(id: string, done: Callback<unknown> = () => {}): Promise<void> {
    try {
      const json = await this.#client.getex(this.prefix + id, 'PX', this.#options.idleMs)
      done(null, json === null ? null : this.#decode(json))
    } catch (error) {
      done(stateUnavailable(error))
    }
  }

  override async set(id: string, session: unknown, done: Callback<never> = () => {}): Promise<void> {
    try {
      await this.#write(this.prefix + id, session as Tracked)
      done(null)
    } catch (error) {
      done(stateUnavailable(error))
    }
  }

  override async destroy(id: string, done: Callback<never> = () => {}): Promise<void> {
    try {
      await this.#client.del(this.prefix + id, counterKey(this.prefix + id))
      done(null)
    } catch (error) {
      done(stateUnavailable(error))
    }
  }

  /** Whether Redis has the session, as far as this request knows. */
  isStored(session: Session): boolean {
    return (session as Tracked)._base !== undefined
  }

  /** Adds one to the session's counter. @returns its new value; null when the session is gone */
  async count(id: string): Promise<number | null> {
    try {
      // It may outlive its session, whose life is slid by requests that do not count; nothing reads it then.
      return await this.#client.musterCount(this.prefix + id, counterKey(this.prefix + id), this.#options.maxAgeMs)
    } catch (error) {
      throw stateUnavailable(error)
    }
  }

  /** The session's counter as it is. */
  async counted(id: string): Promise<number> {
    try {
      return Number((await this.#client.get(counterKey(this.prefix + id))) ?? 0)
    } catch (error) {
      throw stateUnavailable(error)
    }
  }

  /** Nothing where the data is no session of ours, or older than a session may become. */
  #decode(json: string): Tracked | null {
    const stored = parse(json)
    if (!stored) {
      this.#options.log.warn('a session in Redis is not readable and is taken for none')
      return null
    }
    const { _v: version, ...session } = stored
    if (Number(session.createdAt ?? 0) + this.#options.maxAgeMs < Date.now()) return null
    return Object.assign(session as unknown as Tracked, { _base: new Base(json, Number(version ?? 0), true) })
  }

  async #write(key: string, session: Tracked): Promise<void> {
    const before = session._base
    session.createdAt ??= Date.now()
    const ttlMs = before?.confirmed ? this.#options.idleMs : Math.min(UNCONFIRMED_MS, this.#options.idleMs)
    const deadline = performance.now() + this.#options.link.timeoutMs
    let version = before?.version ?? ABSENT
    let mine = dataOf(session)
    // Of writers at the same time one succeeds in each round, so a crowd of them takes as many rounds.
    while (performance.now() < deadline) {
      const json = JSON.stringify({ ...mine, _v: Math.max(version, 0) + 1 })
      const outcome = await this.#client.musterCompareAndSet(key, version, json, ttlMs)
      if (outcome === 1) {
        session._base = new Base(json, Math.max(version, 0) + 1, before?.confirmed ?? false)
        return
      }
      const theirs = outcome === null ? null : parse(outcome)
      if (!theirs) return // Ended meanwhile: it stays so.
      version = Number(theirs._v ?? 0)
      mine = merge(before ? (parse(before.json) ?? {}) : {}, dataOf(session), theirs)
    }
    throw new Error('others wrote a session again and again while one request tried to')
  }
}

/** In one hash slot with its session. */
const counterKey = (sessionKey: string) => `{${sessionKey}}:visits`

/** Three-way, on top-level keys: what `mine` changed against `base` is laid over `theirs`. */
export function merge(base: Stored, mine: Stored, theirs: Stored): Stored {
  const { _v, ...merged } = theirs
  for (const key of Object.keys(mine)) {
    if (JSON.stringify(mine[key]) !== JSON.stringify(base[key])) merged[key] = mine[key]
  }
  for (const key of Object.keys(base)) if (key !== '_v' && !(key in mine)) delete merged[key]
  return merged
}

/** Without what changes at every request: when the cookie ends is for the browser, the key's own life for Redis. */
function dataOf(session: Tracked): Stored {
  const { cookie, _base, ...data } = session as unknown as Stored & { cookie: { toJSON?(): Stored } & Stored }
  const { expires, originalExpires, ...kept } = cookie.toJSON?.() ?? cookie
  return { cookie: kept, ...data }
}

function parse(json: string): Stored | null {
  try {
    const stored: unknown = JSON.parse(json)
    return typeof stored === 'object' &&
      stored !== null &&
      typeof (stored as Stored).cookie === 'object' &&
      (stored as Stored).cookie
      ? (stored as Stored)
      : null
  } catch {
    return null
  }
}
