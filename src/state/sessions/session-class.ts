import { createRequire } from 'node:module'
import { fastifySession } from '@fastify/session'
import type { Session } from 'fastify'
import { StartupError } from '../../common/errors.ts'
import { isChanged, SessionSnapshot, setSnapshot, snapshotOf } from './session-snapshot.ts'

/** Returns the value with which a store answers @fastify/session: the data, and the snapshot under a reserved name. */
export const withSnapshot = (data: object, snapshot: SessionSnapshot): object => ({ ...data, _snapshot: snapshot })

let isAdapted = false

/**
 * Changes the Session class of @fastify/session in two ways. The library has no option for either:
 *
 * - The value that it assigns as `_snapshot` becomes the session's snapshot and no member.
 * - Whether a session was changed is found out from the snapshot. The library hashes every session when it is read, and again
 *   in `isModified`: 2 µs each for a small session, 10 µs for one of 1 KB, where a hit takes about 30 µs.
 *
 * It relies on three private details: the constructor assigns each member of the stored value, it calls a method whose symbol is
 * described as `hash`, and it uses the result in `isModified` only. The class is not exported, so it is taken from a session
 * that the plugin makes. The result is checked with one more session.
 * @throws StartupError when this version of the package works in another way
 */
export function adaptSessionClass(): void {
  if (isAdapted) return
  const prototype = Object.getPrototypeOf(createSession({}))
  const hash = Object.getOwnPropertySymbols(prototype).find(({ description }) => description === 'hash')
  if (!hash) throw unsupported('its Session has no method "hash"')
  Object.defineProperties(prototype, {
    [hash]: { value: () => '' },
    isModified: {
      value(this: Session) {
        return isChanged(this)
      }
    },
    _snapshot: {
      set(this: Session, value: unknown) {
        if (value instanceof SessionSnapshot) setSnapshot(this, value)
      }
    }
  })
  const snapshot = new SessionSnapshot('{"a":1}', { data: {}, createdAt: 0, version: 0 }, false)
  const session = createSession(withSnapshot({ a: 1 }, snapshot))
  if (snapshotOf(session) !== snapshot) throw unsupported('its Session does not assign the members of a stored session')
  if (Object.hasOwn(session, '_snapshot') || session.isModified()) throw unsupported('its Session cannot be extended')
  isAdapted = true
}

interface SessionRequest {
  session?: Session & { isModified(): boolean }
}
type Decrypt = (cookie: string, request: SessionRequest, done: () => void) => void

/** Lets the plugin create the session that belongs to a stored value, without a server. */
export function createSession(stored: object): NonNullable<SessionRequest['session']> {
  const decorators = new Map<string, unknown>()
  const host = {
    decorate: (name: string, value: unknown) => decorators.set(name, value),
    decorateRequest: () => {},
    addHook: () => {}
  }
  const secret = { sign: (id: string) => id, unsign: (value: string) => ({ valid: true, renew: false, value }) }
  const store = { get: (_id: string, done: (error: null, session: object) => void) => done(null, stored) }
  fastifySession(host as never, { secret, store } as never, () => {})
  const decrypt = decorators.get('decryptSession') as Decrypt | undefined
  const request: SessionRequest = {}
  decrypt?.('id', request, () => {})
  if (!request.session) throw unsupported('its plugin makes no session by decryptSession')
  return request.session
}

function unsupported(problem: string): StartupError {
  const { version } = createRequire(import.meta.url)('@fastify/session/package.json') as { version: string }
  return new StartupError(`@fastify/session ${version} is not supported, ${problem}: install 11.1.3`)
}
