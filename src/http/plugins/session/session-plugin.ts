import { fastifySession } from '@fastify/session'
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import type { SessionView } from '../../../ipc/messages.ts'
import type { RedisConnection } from '../../../state/redis/redis-connection.ts'
import type { SafeSessionStore } from '../../../state/sessions/session-store.ts'
import { UserSessions } from '../../../state/sessions/user-sessions.ts'
import { addRouteHook } from '../route-hook.ts'
import { cachedSigner, cookieName, cookieOptions } from './session-cookie.ts'

export interface SessionOptions {
  store: SafeSessionStore
  redis: RedisConnection
  /** The first signs, all verify; empty until the shared one has been read. */
  sessionSecrets: readonly string[]
}

/** Who is who, in routes as `app.sessions`. Everything rejects with HttpError 503 when Redis is away. */
export interface Sessions {
  /**
   * A new session under a new id takes over the visits. It takes the place of the old one, also for requests in flight, when
   * the handler has returned and before the answer leaves; if the handler throws or Redis fails, the old one stays as it was.
   */
  signIn(request: FastifyRequest, user: string): Promise<void>
  /** The session is gone from Redis, the cookie from the browser; what the handler puts in from now on is not kept. */
  signOut(request: FastifyRequest, reply: FastifyReply): Promise<void>
  /** The user's sessions, a thousand at most, those used last first. */
  list(user: string): Promise<SessionView[]>
  /** Ends one of the user's sessions, by its handle, or all. @returns how many there were */
  end(user: string, handle?: string): Promise<number>
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** False: the route has no session, sets no cookie and asks Redis for none. */
    session?: false
  }
  interface FastifyInstance {
    sessions: Sessions
  }
  interface FastifyRequest {
    /** What this request did to its session is not kept: its handler threw, or signed out. */
    sessionDropped: boolean
    /** The session that this request's own takes the place of, and the user who signs in, before that is done. */
    signIn: { old: FastifyRequest['session']; user: string } | null
    /** Gives this request a new session, which is stored nowhere yet. */
    renewSession(): void
  }
  interface Session {
    /** Visits when this session began; those since then are counted beside it, by Redis. */
    visits?: number
  }
}

/**
 * @fastify/session on the safe store, on every route of the scope that does not say `config: { session: false }`.
 * Nothing is stored until a handler puts something in; a cookie is set once, for as long as a session may last, and
 * again when an older secret had signed it. Redis ends idle ones.
 */
export const sessions = fp<SessionOptions>(async (app, { redis, sessionSecrets, store }) => {
  const decryptSession = withoutHooks(app, { secret: cachedSigner(sessionSecrets, redis), store: store as never })

  const begin = (request: FastifyRequest, _reply: FastifyReply, done: (error?: Error) => void) =>
    decryptSession(request.cookies[cookieName(request)] ?? '', request, done)

  const keep = async (request: FastifyRequest, reply: FastifyReply) => {
    const { session } = request
    if (request.sessionDropped || !session) return
    if (request.signIn) {
      await store.renew(request.signIn.old, session, request.signIn.user)
      request.signIn = null
    }
    if (store.isChanged(session)) await store.save(session)
    const given = request.cookies[cookieName(request)]
    if (!store.isStored(session) || given === session.encryptedSessionId) return
    // Signed anew, unless it was ended meanwhile: the browser may have the cookie of the next one already.
    if (given?.startsWith(`${session.sessionId}.`) && !(await store.exists(session.sessionId))) return
    const options = { ...cookieOptions(request), expires: store.endOf(session) }
    void reply.setCookie(cookieName(request), session.encryptedSessionId, options)
  }

  app.decorateRequest('sessionDropped', false)
  app.decorateRequest('signIn', null)
  app.decorateRequest('renewSession', function (this: FastifyRequest) {
    // No cookie is read for it, so it is there at once.
    decryptSession('', this, () => {})
  })
  app.addHook('onRoute', (route: RouteOptions) => {
    if (route.config?.session === false) return
    addRouteHook(route, 'onRequest', begin, 'first')
    addRouteHook(route, 'onError', dropSession)
    addRouteHook(route, 'onSend', keep)
  })
})

const dropSession = (request: FastifyRequest, _reply: FastifyReply, _error: Error, done: () => void) => {
  request.sessionDropped = true
  if (request.signIn) request.session = request.signIn.old
  request.signIn = null
  done()
}

/**
 * @fastify/session without the hooks that it adds to every route of its scope: they know one name of the cookie, save
 * what a handler did that threw, and take a cookie away that a sign-in has just set.
 */
function withoutHooks(app: FastifyInstance, options: Parameters<typeof fastifySession>[1]) {
  const host: FastifyInstance = Object.create(app, { addHook: { value: () => host } })
  fastifySession(host, options, (error?: Error) => {
    if (error) throw error
  })
  return host.decryptSession
}

/** What `app.sessions` is. */
export function sessionsOf(store: SafeSessionStore): Sessions {
  const users = new UserSessions(store)
  return {
    signIn: async (request, user) => {
      const old = request.signIn?.old ?? request.session
      request.renewSession()
      const { session } = request
      request.signIn = { old, user }
      request.sessionDropped = false
      session.name = user
      if (old.visits !== undefined) session.visits = old.visits
      await store.begin(session)
    },
    signOut: async (request, reply) => {
      const { session } = request
      const { old } = request.signIn ?? { old: session }
      request.signIn = null
      if (store.isStored(old)) await store.end(old.sessionId)
      for (const key of Object.keys(session)) if (key !== 'cookie') delete session[key as keyof typeof session]
      request.sessionDropped = true
      void reply.clearCookie(cookieName(request), cookieOptions(request))
      // Not "cookies": that takes those of neighbouring domains along, and maybe the one of the next sign-in.
      void reply.header('clear-site-data', '"cache", "storage"')
    },
    list: (user) => users.list(user),
    end: (user, handle) => users.end(user, handle)
  }
}

/** Counts a visit of this session. @returns all its visits, this one included */
export async function countVisit(request: FastifyRequest): Promise<number> {
  const { session } = request
  const store = storeOf(request)
  const counting = countingSessionOf(request)
  if (!store.isStored(counting)) {
    session.visits = 1
    return 1
  }
  return (session.visits ?? 0) + ((await store.count(counting.sessionId)) ?? 1)
}

/** All visits of this session. */
export async function visitsOf(request: FastifyRequest): Promise<number> {
  const store = storeOf(request)
  const counting = countingSessionOf(request)
  const counted = store.isStored(counting) ? await store.counted(counting.sessionId) : 0
  return (request.session.visits ?? 0) + counted
}

/** The session whose counter has the visits: that of a request which signs in takes them over when it takes its place. */
const countingSessionOf = ({ session, signIn }: FastifyRequest) => signIn?.old ?? session

const storeOf = (request: FastifyRequest) => request.sessionStore as unknown as SafeSessionStore
