import type { FastifyReply, FastifyRequest } from 'fastify'
import type { SessionView } from '../../../ipc/messages.ts'
import type { SafeSessionStore } from '../../../state/sessions/session-store.ts'
import { UserSessions } from '../../../state/sessions/user-sessions.ts'
import { requireSession } from './request-session.ts'

/** `app.sessions`: signs users in and out and manages their sessions. Every method rejects with HttpError 503 when Redis is away. */
export interface Sessions {
  /**
   * Starts a new session under a new id, which takes over the visits. It replaces the old session, also for requests in
   * flight, after the handler has returned and before the answer is sent. If the handler throws or Redis fails, the old
   * session stays as it was.
   */
  signIn(request: FastifyRequest, user: string): Promise<void>
  /**
   * Deletes the session from Redis and the cookie from the browser. Later changes of the session by the same handler are not
   * stored.
   */
  signOut(request: FastifyRequest, reply: FastifyReply): Promise<void>
  /** Lists the sessions of a user, at most 1,000, the most recently used first. */
  list(user: string): Promise<SessionView[]>
  /**
   * Ends sessions of a user.
   * @param handle of the one to end; without it all of them end
   * @returns the number of sessions that ended
   */
  end(user: string, handle?: string): Promise<number>
}

/** Makes `app.sessions`. */
export function createSessions(store: SafeSessionStore): Sessions {
  const users = new UserSessions(store)
  return {
    signIn: async (request, user) => {
      const state = requireSession(request)
      const old = state.signIn?.old ?? state.session
      // Without a cookie the callback is called synchronously.
      state.backend.decrypt('', request, () => {})
      const { session } = state
      state.signIn = { old, user }
      state.isDropped = false
      session.name = user
      if (old.visits !== undefined) session.visits = old.visits
      await store.begin(session)
    },
    signOut: async (request, reply) => {
      const state = requireSession(request)
      const { session } = state
      const old = state.signIn?.old ?? session
      state.signIn = undefined
      if (store.isStored(old)) await store.end(old.sessionId)
      for (const key of Object.keys(session)) if (key !== 'cookie') delete session[key as keyof typeof session]
      state.isDropped = true
      state.clearsCookie = true
      // Not "cookies": that also deletes cookies of neighbouring domains, and maybe the cookie of the next sign-in.
      void reply.header('clear-site-data', '"cache", "storage"')
    },
    list: (user) => users.list(user),
    end: (user, handle) => users.end(user, handle)
  }
}
