import type { FastifyRequest } from 'fastify'
import { takeVisit } from '../../../state/sessions/session-snapshot.ts'
import { type OwnSession, requireSession } from './request-session.ts'

declare module 'fastify' {
  interface Session {
    /** Visits before this session was stored. Redis counts the visits after that, in a key of its own. */
    visits?: number
  }
}

/**
 * Counts a visit of this session. A route with `config: { countsVisit: true }` has counted it when the session was read, and the
 * first call returns that.
 * @returns all its visits, this one included
 * @throws HttpError 503 when Redis is away
 */
export async function countVisit(request: FastifyRequest): Promise<number> {
  const state = requireSession(request)
  const { session } = state
  const { store } = state.backend
  const counted = countedSessionOf(state)
  if (!store.isStored(counted)) {
    session.visits = 1
    return 1
  }
  const visit = takeVisit(counted) ?? (await store.visits.count(counted.sessionId)) ?? 1
  return (session.visits ?? 0) + visit
}

/**
 * Reads the visits of this session without counting one.
 * @throws HttpError 503 when Redis is away
 */
export async function readVisits(request: FastifyRequest): Promise<number> {
  const state = requireSession(request)
  const { store } = state.backend
  const counted = countedSessionOf(state)
  const sinceStored = store.isStored(counted) ? await store.visits.read(counted.sessionId) : 0
  return (state.session.visits ?? 0) + sinceStored
}

/** The session whose counter holds the visits. During a sign-in that is the old session, until the new one replaces it. */
const countedSessionOf = ({ session, signIn }: OwnSession) => signIn?.old ?? session
