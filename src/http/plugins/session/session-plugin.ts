import { fastifySession } from '@fastify/session'
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import type { RedisConnection } from '../../../state/redis/redis-connection.ts'
import { isChanged } from '../../../state/sessions/session-snapshot.ts'
import type { SafeSessionStore } from '../../../state/sessions/session-store.ts'
import { addRouteHook } from '../route-hook.ts'
import type { Sessions } from './app-sessions.ts'
import { cachedSigner } from './cookie-signer.ts'
import { cookieName, cookieOptions } from './session-cookie.ts'

export interface SessionOptions {
  store: SafeSessionStore
  redis: RedisConnection
  /** The first signs, all verify. Empty until the shared secret was read. */
  sessionSecrets: readonly string[]
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** False: the route has no session, sets no cookie and sends no session command to Redis. */
    session?: false
  }
  interface FastifyInstance {
    sessions: Sessions
  }
  interface FastifyRequest {
    /** Changes of the session by this request are not stored, because its handler threw or signed out. */
    sessionDropped: boolean
    /** During a sign-in: the session that the new one will replace, and the user who signs in. */
    signIn: { old: FastifyRequest['session']; user: string } | null
    /** Gives this request a new session, which is not stored yet. */
    renewSession(): void
  }
}

/**
 * Gives a session to every route of the scope whose config does not say `session: false`. A session is stored when a handler
 * has changed it. The cookie is set once, for the longest time that a session may last, and again when an older secret had
 * signed it. Redis expires idle sessions.
 */
export const sessions = fp<SessionOptions>(async (app, { redis, sessionSecrets, store }) => {
  const signer = cachedSigner(sessionSecrets, redis)
  const decryptSession = await registerWithoutHooks(app, { secret: signer, store: store as never })

  const loadSession = (request: FastifyRequest, _reply: FastifyReply, done: (error?: Error) => void) =>
    decryptSession(request.cookies[cookieName(request)] ?? '', request, done)

  const storeSession = async (request: FastifyRequest, reply: FastifyReply) => {
    const { session } = request
    if (request.sessionDropped || !session) return
    if (request.signIn) {
      await store.renew(request.signIn.old, session, request.signIn.user)
      request.signIn = null
    }
    if (isChanged(session)) await store.save(session)
    await setCookie(store, request, reply)
  }

  app.decorateRequest('session', null as never)
  app.decorateRequest('sessionStore', { getter: () => store as never })
  app.decorateRequest('sessionDropped', false)
  app.decorateRequest('signIn', null)
  app.decorateRequest('renewSession', function (this: FastifyRequest) {
    // Without a cookie the callback is called synchronously.
    decryptSession('', this, () => {})
  })
  app.addHook('onRoute', (route: RouteOptions) => {
    if (route.config?.session === false) return
    addRouteHook(route, 'onRequest', loadSession, 'first')
    addRouteHook(route, 'onError', dropSession)
    addRouteHook(route, 'onSend', storeSession)
  })
})

/** Sets the cookie when the browser does not have it, or has it with the signature of an older secret. */
async function setCookie(store: SafeSessionStore, request: FastifyRequest, reply: FastifyReply): Promise<void> {
  const { session } = request
  const sent = request.cookies[cookieName(request)]
  if (!store.isStored(session) || sent === session.encryptedSessionId) return
  // The session may have ended meanwhile, and the browser may have the cookie of the next one already.
  const hasOlderSignature = sent?.startsWith(`${session.sessionId}.`) === true
  if (hasOlderSignature && !(await store.exists(session.sessionId))) return
  const options = { ...cookieOptions(request), expires: store.endOf(session) }
  void reply.setCookie(cookieName(request), session.encryptedSessionId, options)
}

const dropSession = (request: FastifyRequest, _reply: FastifyReply, _error: Error, done: () => void) => {
  request.sessionDropped = true
  if (request.signIn) request.session = request.signIn.old
  request.signIn = null
  done()
}

/**
 * Registers @fastify/session in a scope that has no routes, so that none of its hooks ever runs: they know only one cookie
 * name, store changes of a handler that threw, and delete a cookie that a sign-in has just set.
 * @returns reads the session of a cookie value into `request.session`
 */
async function registerWithoutHooks(app: FastifyInstance, options: Parameters<typeof fastifySession>[1]) {
  let decryptSession!: FastifyInstance['decryptSession']
  const scopeWithoutRoutes: FastifyPluginAsync = async (scope) => {
    await scope.register(fastifySession, options)
    decryptSession = scope.decryptSession
  }
  await app.register(scopeWithoutRoutes)
  return decryptSession
}
