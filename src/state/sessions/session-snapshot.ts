import { createRequire } from 'node:module'
import type { Session } from 'fastify'
import { dataOf, type StoredSession } from './session-merge.ts'

/** What a request knows of its session in Redis. */
export class SessionSnapshot {
  /** Its data as the handler last saw it: what differs from it, the handler has changed. */
  readonly originalJson: string
  /** As it was last read or written; it has what others wrote meanwhile. */
  readonly stored: StoredSession
  /** Its cookie has come back at least once. */
  readonly confirmed: boolean

  constructor(seen: string, stored: StoredSession, confirmed: boolean) {
    this.originalJson = seen
    this.stored = stored
    this.confirmed = confirmed
  }
}

/** The version of a session that Redis does not have. */
export const ABSENT = -1

const BASE = Symbol('base')
type Based = Session & { [BASE]?: SessionSnapshot }

/** What is known of a session in Redis; undefined: there is none. */
export const snapshotOf = (session: Session): SessionSnapshot | undefined => (session as Based)[BASE]

export function setSnapshot(session: Session, base: SessionSnapshot): void {
  ;(session as Based)[BASE] = base
}

/** What the store gives @fastify/session: the data, and the base under the one name that its setter below takes. */
export const withSnapshot = (data: object, base: SessionSnapshot): object => ({ ...data, _base: base })

/** Whether a handler has put anything into the session, or changed what is there. */
export const isChanged = (session: Session): boolean =>
  JSON.stringify(dataOf(session)) !== (snapshotOf(session)?.originalJson ?? '{}')

/**
 * @fastify/session has no way to give a session more than data, and hashes all of it with every request, to know later
 * whether it was changed. Its class is not exported, but it is one file; two things are settled on it: what it assigns as
 * `_base` becomes the base and no member, and whether a session was changed is asked of that base.
 */
function settle(prototype: object): void {
  const hash = Object.getOwnPropertySymbols(prototype).find(({ description }) => description === 'hash')
  if (!hash) throw new Error('@fastify/session: its Session has no hash any more; see state/session-base.ts')
  Object.defineProperties(prototype, {
    [hash]: { value: () => '' },
    isModified: {
      value(this: Session) {
        return isChanged(this)
      }
    },
    _base: {
      set(this: Session, base: unknown) {
        if (base instanceof SessionSnapshot) setSnapshot(this, base)
      }
    }
  })
}
settle((createRequire(import.meta.url)('@fastify/session/lib/session.js') as { prototype: object }).prototype)
