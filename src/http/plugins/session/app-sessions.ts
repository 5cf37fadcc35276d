import type { SafeSessionStore } from '../../../state/sessions/session-store.ts'
import { UserSessions } from '../../../state/sessions/user-sessions.ts'
import type { Sessions } from '../../public-types.ts'
import { requireSession } from './request-session.ts'

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
