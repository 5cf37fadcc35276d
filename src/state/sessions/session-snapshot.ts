import type { Session } from 'fastify'
import { dataOf, type StoredSession } from './session-merge.ts'

/** What a request knows about its session in Redis. */
export class SessionSnapshot {
  /** The session's data as the handler got it, as JSON. The handler has changed whatever differs from it. */
  readonly originalJson: string
  /** The session as it was last read or written, including concurrent changes of other requests. */
  readonly stored: StoredSession
  /** Whether the client has sent the session's cookie at least once. */
  readonly confirmed: boolean
  /** The visit that was counted when the session was read. Undefined: none, or it was taken. */
  visit: number | undefined

  constructor(originalJson: string, stored: StoredSession, confirmed: boolean, visit?: number) {
    this.originalJson = originalJson
    this.stored = stored
    this.confirmed = confirmed
    this.visit = visit
  }
}

/** The version of a session that is not in Redis. */
export const ABSENT = -1

const SNAPSHOT = Symbol('snapshot')
type WithSnapshot = Session & { [SNAPSHOT]?: SessionSnapshot }

/** Returns what is known about a session; undefined where it was neither read nor written. */
export const snapshotOf = (session: Session): SessionSnapshot | undefined => (session as WithSnapshot)[SNAPSHOT]

export function setSnapshot(session: Session, snapshot: SessionSnapshot): void {
  ;(session as WithSnapshot)[SNAPSHOT] = snapshot
}

/** @returns the visit that was counted when the session was read; undefined the second time, and where none was */
export function takeVisit(session: Session): number | undefined {
  const snapshot = snapshotOf(session)
  const visit = snapshot?.visit
  if (snapshot) snapshot.visit = undefined
  return visit
}

/** Whether a handler has added, changed or removed anything in the session. */
export const isChanged = (session: Session): boolean =>
  JSON.stringify(dataOf(session)) !== (snapshotOf(session)?.originalJson ?? '{}')
