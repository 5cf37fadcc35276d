import { createHash } from 'node:crypto'

/** What handlers keep in a session, by top-level keys. */
export type SessionData = Record<string, unknown>

/** A session as Redis has it. */
export interface StoredSession {
  data: SessionData
  /** In ms since 1970, by the clock of Redis. Not part of the data: no handler and no merge moves the end of a session's life. */
  createdAt: number
  /** One more with every write; 0 where plain connect-redis wrote it. */
  version: number
}

/**
 * Returns the beginning of a session's JSON, which connect-redis can read. {@link END_OF_SESSION} follows: a script in Redis
 * adds it, whose clock counts.
 */
export function encode(data: SessionData): string {
  const members = JSON.stringify(data).slice(1, -1)
  return `{"cookie":{}${members && `,${members}`}`
}

/**
 * The end of a session's JSON, in Lua: returns what follows {@link encode}, and reads `createdAt` and the version from a
 * whole text. Both are nil where the text does not end so: it is no session.
 */
export const END_OF_SESSION = `
local function endOfSession(createdAt, version)
  return string.format(',"createdAt":%.0f,"_v":%.0f}', createdAt, version)
end
local function readEnd(text)
  local createdAt, version = string.match(text, '"createdAt":(%d+),"_v":(%d+)}$', -64)
  if not createdAt then createdAt, version = string.match(text, '"createdAt":(%d+)}$', -64), 0 end
  return tonumber(createdAt), tonumber(version)
end
local function nowMs()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
`

/** @returns undefined where the text is no session, or one whose version the scripts in Redis do not find at its end */
export function decode(text: string): StoredSession | undefined {
  const end = /"createdAt":(\d+)(?:,"_v":(\d+))?\}$/.exec(text.slice(-64))
  if (!end) return undefined
  const createdAt = Number(end[1])
  const version = Number(end[2] ?? 0)
  try {
    const stored = JSON.parse(text)
    const isWhole = stored.createdAt === createdAt && (stored._v ?? 0) === version && isObject(stored.cookie)
    const isExact = Number.isSafeInteger(createdAt) && Number.isSafeInteger(version)
    return isWhole && isExact ? { data: dataOf(stored), createdAt, version } : undefined
  } catch {
    return undefined
  }
}

/** Returns what a handler has put into `session`: without the members that belong to the store and to @fastify/session. */
export function dataOf(session: object): SessionData {
  const data: SessionData = {}
  // By name: `...data` would take the symbols of @fastify/session along, four times as slow.
  for (const name of Object.keys(session)) if (!NO_DATA.has(name)) data[name] = (session as SessionData)[name]
  return data
}

/**
 * Keys that are not kept: those of the store, the one that would be another prototype, and those in whose place a session
 * has members of @fastify/session, which handlers and this project call.
 */
const NO_DATA = new Set([
  ...['cookie', 'createdAt', '_v', '_base', '__proto__'],
  ...['sessionId', 'encryptedSessionId', 'get', 'set', 'options', 'touch', 'save', 'reload', 'regenerate', 'destroy'],
  ...['isModified', 'isSaved']
])

/** Three-way, on top-level keys: what `mine` changed against `base` is laid over `theirs`. */
export function merge(base: SessionData, mine: SessionData, theirs: SessionData): SessionData {
  const merged = { ...theirs }
  for (const key of Object.keys(mine)) {
    if (JSON.stringify(mine[key]) !== JSON.stringify(base[key])) merged[key] = mine[key]
  }
  for (const key of Object.keys(base)) if (!Object.hasOwn(mine, key)) delete merged[key]
  return merged
}

/** A name for a session that people and logs may see: whoever knows it cannot use the session. */
export const handleOf = (id: string): string => createHash('sha256').update(id).digest('hex').slice(0, 12)

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null
