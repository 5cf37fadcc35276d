import { createHash } from 'node:crypto'

/** What handlers keep in a session, by top-level keys. */
export type SessionData = Record<string, unknown>

/** A session as it is stored in Redis. */
export interface StoredSession {
  data: SessionData
  /** In ms since 1970, by the clock of Redis. It is not part of the data, so no handler and no merge can move a session's end. */
  createdAt: number
  /** Grows by one with every write; 0 where plain connect-redis wrote the session. */
  version: number
}

/**
 * Returns the beginning of a session's JSON, in the format of connect-redis. A script in Redis appends the rest, see
 * {@link END_OF_SESSION}, because the clock of Redis counts.
 */
export function encode(data: SessionData): string {
  const members = JSON.stringify(data).slice(1, -1)
  return `{"cookie":{}${members && `,${members}`}`
}

/**
 * Lua functions for the end of a session's JSON. `endOfSession` returns what follows {@link encode}. `readEnd` returns
 * `createdAt` and the version of a whole text, or nil where the text does not end like a session.
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

/** @returns undefined where the text is not a session, or where the scripts in Redis would read another version at its end */
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

/** Returns the members that handlers have put into `session`, without those of the store and of @fastify/session. */
export function dataOf(session: object): SessionData {
  const data: SessionData = {}
  // By name: `...data` would also copy the symbols of @fastify/session, which takes four times as long.
  for (const name of Object.keys(session)) if (!RESERVED.has(name)) data[name] = (session as SessionData)[name]
  return data
}

/**
 * Keys that are not stored: those of the store, the one that would set a prototype, and those that would hide members of
 * @fastify/session, which handlers and this project call.
 */
const RESERVED = new Set([
  ...['cookie', 'createdAt', '_v', '_snapshot', '__proto__'],
  ...['sessionId', 'encryptedSessionId', 'get', 'set', 'options', 'touch', 'save', 'reload', 'regenerate', 'destroy'],
  ...['isModified', 'isSaved']
])

/** Merges three ways, by top-level keys: applies what `mine` changed compared with `base` to `theirs`. */
export function merge(base: SessionData, mine: SessionData, theirs: SessionData): SessionData {
  const merged = { ...theirs }
  for (const key of Object.keys(mine)) {
    if (JSON.stringify(mine[key]) !== JSON.stringify(base[key])) merged[key] = mine[key]
  }
  for (const key of Object.keys(base)) if (!Object.hasOwn(mine, key)) delete merged[key]
  return merged
}

/** Returns the session handle: a name for people and logs that does not give access to the session. */
export const handleOf = (id: string): string => createHash('sha256').update(id).digest('hex').slice(0, 12)

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null
