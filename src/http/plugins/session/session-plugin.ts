import cookie from '@fastify/cookie'
import { fastifySession } from '@fastify/session'
import type { FastifyReply, FastifyRequest, RouteOptions, Session } from 'fastify'
import fp from 'fastify-plugin'
import type { RedisConnection } from '../../../state/redis/redis-connection.ts'
import { isChanged } from '../../../state/sessions/session-snapshot.ts'
import type { Counts, LoadedSession, SafeSessionStore } from '../../../state/sessions/session-store.ts'
import { registerApart } from '../register-apart.ts'
import { addRouteHook } from '../route-hook.ts'
import type { Tracing } from '../tracing/tracing.ts'
import { cachedSigner } from './cookie-signer.ts'
import {
  attachSession,
  declareSession,
  findSession,
  isAssigned,
  isDeclared,
  isLoaded,
  type OwnSession,
  type RequestSession
} from './request-session.ts'
import { clearCookie, readCookie, setCookie } from './session-cookie.ts'

export interface SessionOptions {
  store: SafeSessionStore
  redis: RedisConnection
  /** The first signs, all verify. Empty until the shared secret was read. */
  sessionSecrets: readonly string[]
  /** Undefined: nothing is traced. */
  tracing?: Tracing | undefined
}

/**
 * Gives a session to every route of the scope whose config does not say `session: false`, unless the app has a session plugin of
 * its own there. A session is stored when a handler has changed it. The cookie is set once, for the longest time that a session
 * may last, and again when an older secret had signed it. Redis expires idle sessions.
 *
 * When a session cannot be loaded, the request goes on: only code that uses `request.session` gets the error.
 */
export const sessions = fp<SessionOptions>(async (app, { redis, sessionSecrets, store, tracing }) => {
  const signer = cachedSigner(sessionSecrets, redis)
  /** The session that {@link loadSession} has asked for: `decryptSession` calls `get` before it returns. */
  let loading: RequestSession
  // Without its hooks: they know only one cookie name, store changes of a handler that threw, and delete a cookie that a sign-in
  // has just set.
  const backend = await registerApart(app, async (scope) => {
    await scope.register(cookie)
    await scope.register(fastifySession, {
      secret: signer,
      store: {
        get: (id, done) => {
          const state = loading
          const give = ({ session, hit }: LoadedSession) => {
            state.hit = hit
            done(null, session as Session | null)
          }
          store.load(id, state.counts).then(give, done)
        },
        set: (id, session, done) => void store.set(id, session, done),
        destroy: (id, done) => void store.destroy(id, done)
      }
    })
    return { store, decrypt: scope.decryptSession, tracing }
  })

  const loadSession = (request: FastifyRequest, counts: Counts | undefined, done: () => void) => {
    const state = attachSession(request, backend, readCookie(request), counts)
    loading = state
    state.failure = signer.failure()
    if (state.failure) return done()
    const loaded = (error?: unknown) => {
      state.failure = error
      done()
    }
    const { cookie } = state
    if (tracing && cookie) {
      tracing.callInSpan(request, 'session load', (end) => backend.decrypt(cookie, request, end), loaded)
    } else backend.decrypt(cookie ?? '', request, loaded)
  }

  declareSession(app)
  app.addHook('onRoute', (route: RouteOptions) => {
    if (route.config?.session === false) return
    // Found out at the first request: plugins of the app may register after the route, and its onRoute hooks may set `session`.
    let hasSession: boolean | undefined
    const load = (request: FastifyRequest, _reply: FastifyReply, done: () => void) => {
      hasSession ??= route.config?.session !== false && isDeclared(request)
      if (!hasSession || isAssigned(request)) return done()
      loadSession(request, countsOf(route), done)
    }
    addRouteHook(route, 'onRequest', load, 'first')
    addRouteHook(route, 'onError', dropSession)
    addRouteHook(route, 'onSend', storeSession)
  })
})

function countsOf({ config }: RouteOptions): Counts | undefined {
  if (!config?.countsHit) return config?.countsVisit ? 'visit' : undefined
  return config.countsVisit ? 'both' : 'hit'
}

type Done = (error?: Error) => void

const storeSession = (request: FastifyRequest, reply: FastifyReply, _payload: unknown, done: Done) => {
  const state = findSession(request)
  if (!state) return done()
  if (isLoaded(state) && !state.isDropped) {
    // Most requests end here, without a promise.
    if (!state.signIn && !isChanged(state.session) && !lacksCookie(state)) return done()
    const { tracing } = state.backend
    const storing = tracing
      ? tracing.inSpan(request, 'session store', () => store(request, reply, state))
      : store(request, reply, state)
    return void storing.then(() => done(), done)
  }
  if (state.clearsCookie) clearCookie(request, reply)
  state.clearsCookie = false
  done()
}

async function store(request: FastifyRequest, reply: FastifyReply, state: OwnSession): Promise<void> {
  const { session, signIn } = state
  const { store } = state.backend
  if (signIn) {
    await store.renew(signIn.old, session, signIn.user)
    state.signIn = undefined
  }
  if (isChanged(session)) await store.save(session)
  if (!lacksCookie(state)) return
  // The session may have ended meanwhile, and the browser may have the cookie of the next one already.
  const hasOlderSignature = state.cookie?.startsWith(`${session.sessionId}.`) === true
  if (hasOlderSignature && !(await store.exists(session.sessionId))) return
  setCookie(request, reply, session.encryptedSessionId, store.endOf(session))
  state.cookie = session.encryptedSessionId
}

/** Whether the browser does not have the cookie of a stored session, or has it with the signature of an older secret. */
const lacksCookie = ({ session, cookie, backend }: OwnSession): boolean =>
  backend.store.isStored(session) && cookie !== session.encryptedSessionId

const dropSession = (request: FastifyRequest, _reply: FastifyReply, _error: Error, done: () => void) => {
  const state = findSession(request)
  if (state) {
    state.isDropped = true
    if (state.signIn) state.session = state.signIn.old
    state.signIn = undefined
  }
  done()
}
