import { createHash } from 'node:crypto'

/** What handlers keep in a session, by top-level keys. */
export type SessionData = Record<string, unknown>

/** A session as Redis has it. */
export interface StoredSession {
  data: SessionData
  /** In ms since 1970. Not part of the data: no handler and no merge moves the end of a session's life. */
  createdAt: number
  /** One more with every write; 0 where plain connect-redis wrote it. */
  version: number
}

/** JSON that connect-redis can read, the version its last member. */
export const encode = ({ data, createdAt, version }: StoredSession): string =>
  JSON.stringify({ cookie: {}, ...data, createdAt, _v: version })

/** @returns undefined where the text is no session */
export function decode(text: string): StoredSession | undefined {
  try {
    const stored = JSON.parse(text)
    const { cookie, createdAt, _v: version = 0 } = stored
    const right = isObject(cookie) && Number.isSafeInteger(createdAt) && Number.isSafeInteger(version) && version >= 0
    return right ? { data: dataOf(stored), createdAt, version } : undefined
  } catch {
    return undefined
  }
}

/** What a handler has put into `session`: without the members that belong to the store and to @fastify/session. */
export function dataOf(session: object): SessionData {
  const data: SessionData = {}
  // By name: `...data` would take the symbols of @fastify/session along, four times as slow.
  for (const name of Object.keys(session)) if (!NO_DATA.has(name)) data[name] = (session as SessionData)[name]
  return data
}

/** Those of the store, and the one that would be another prototype. */
const NO_DATA = new Set(['cookie', 'createdAt', '_v', '__proto__'])

/** Three-way, on top-level keys: what `mine` changed against `base` is laid over `theirs`. */
export function merge(base: SessionData, mine: SessionData, theirs: SessionData): SessionData {
  const merged = { ...theirs }
  for (const key of Object.keys(mine)) {
    if (JSON.stringify(mine[key]) !== JSON.stringify(base[key])) merged[key] = mine[key]
  }
  for (const key of Object.keys(base)) if (!(key in mine)) delete merged[key]
  return merged
}

/** A name for a session that people and logs may see: whoever knows it cannot use the session. */
export const handleOf = (id: string): string => createHash('sha256').update(id).digest('hex').slice(0, 12)

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null
