import { Signer } from '@fastify/cookie'
import { fastifySession } from '@fastify/session'
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import type { Config } from '../config.ts'
import { stateUnavailable } from '../errors.ts'
import type { RedisLink } from '../state/redis.ts'
import { SafeSessionStore } from '../state/session-store.ts'
import { addRouteHook } from './route-hook.ts'

export interface SessionOptions {
  config: Pick<Config, 'session'>
  link: RedisLink
  /** The first signs, all verify; empty until the shared one has been read. */
  sessionSecrets: readonly string[]
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** False: the route has no session, sets no cookie and asks Redis for none. */
    session?: false
  }
  interface FastifyRequest {
    /** The handler threw: what it did to the session is not kept. */
    failed: boolean
  }
  interface Session {
    /** Who signed in. */
    name?: string
    /** Visits when this session began; those since then are counted beside it, by Redis. */
    visits?: number
  }
}

export const COOKIE = 'sid'
type Hook = (request: FastifyRequest, reply: FastifyReply, payload: unknown, done: (error?: Error) => void) => void

/**
 * @fastify/session on the safe store, on every route of the scope that does not say `config: { session: false }`.
 * Nothing is stored until a handler puts something in; cookies last as long as a session may, Redis ends idle ones.
 */
export const sessions = fp<SessionOptions>(async (app, { config, link, sessionSecrets }) => {
  const hooks = collectHooks(app, {
    secret: cachedSigner(sessionSecrets, link),
    store: new SafeSessionStore({ link, log: app.log, ...config.session }) as never,
    cookieName: COOKIE,
    cookie: { secure: 'auto', httpOnly: true, sameSite: 'lax', path: '/', maxAge: config.session.maxAgeMs },
    saveUninitialized: false,
    rolling: false
  })
  const save: Hook = (request, reply, payload, done) =>
    request.failed ? done() : hooks.onSend!(request, reply, payload, done)

  app.decorateRequest('failed', false)
  app.addHook('onRoute', (route: RouteOptions) => {
    if (route.config?.session === false) return
    addRouteHook(route, 'onRequest', hooks.onRequest, 'first')
    addRouteHook(route, 'onError', markFailed)
    addRouteHook(route, 'onSend', save)
  })
})

const markFailed = (request: FastifyRequest, _reply: FastifyReply, _error: Error, done: () => void) => {
  request.failed = true
  done()
}

/** @fastify/session adds its hooks to every route of its scope; caught here, they go to the routes that want them. */
function collectHooks(
  app: FastifyInstance,
  options: Parameters<typeof fastifySession>[1]
): { onRequest?: Hook; onSend?: Hook } {
  const hooks: Record<string, Hook> = {}
  const host = Object.create(app, {
    addHook: {
      value: (name: string, hook: Hook) => {
        hooks[name] = hook
        return host
      }
    }
  })
  fastifySession(host, options, (error?: Error) => {
    if (error) throw error
  })
  return hooks
}

const CACHED_SIGNATURES = 10_000

/** @fastify/cookie's signer, its HMACs remembered: a session that comes back costs none. */
function cachedSigner(secrets: readonly string[], link: RedisLink) {
  let signer: Signer | undefined
  const signed = new Map<string, string>()
  const unsigned = new Map<string, string>()
  const ready = () => {
    if (secrets.length === 0) throw stateUnavailable(link.cause)
    return (signer ??= new Signer(secrets as string[], 'sha256'))
  }
  const remember = (map: Map<string, string>, key: string, value: string) => {
    if (map.size >= CACHED_SIGNATURES) map.clear()
    map.set(key, value)
    return value
  }
  return {
    sign: (value: string) => signed.get(value) ?? remember(signed, value, ready().sign(value)),
    unsign: (input: string) => {
      const known = unsigned.get(input)
      if (known !== undefined) {
        // The other cache may have been cleared since.
        if (!signed.has(known)) remember(signed, known, input)
        return { valid: true, renew: false, value: known }
      }
      const { valid, value } = ready().unsign(input)
      if (!valid || value === null) return { valid: false, renew: false, value: null }
      // Only what is valid is remembered: nobody can fill the cache with guesses. A cookie that an older secret signed
      // stays as it is: signed anew, it would be another one, and @fastify/session would take it away.
      remember(unsigned, input, value)
      remember(signed, value, input)
      return { valid, renew: false, value }
    }
  }
}

/** Counts a visit of this session. @returns all its visits, this one included */
export async function countVisit(request: FastifyRequest): Promise<number> {
  const { session } = request
  const store = storeOf(request)
  if (!store.isStored(session)) {
    session.visits = 1
    return 1
  }
  return (session.visits ?? 0) + ((await store.count(session.sessionId)) ?? 1)
}

/** All visits of this session. */
export async function visitsOf(request: FastifyRequest): Promise<number> {
  const { session } = request
  const store = storeOf(request)
  return (session.visits ?? 0) + (store.isStored(session) ? await store.counted(session.sessionId) : 0)
}

/** Signs in: a new session under a new id takes over the visits; the old one is gone. */
export async function signIn(request: FastifyRequest, name: string): Promise<void> {
  request.session.visits = await visitsOf(request)
  await request.session.regenerate(['visits'])
  request.session.name = name
}

/** Signs out: the session is gone from Redis, the cookie from the browser. */
export async function signOut(request: FastifyRequest, reply: FastifyReply): Promise<void> {
  await request.session.destroy()
  reply.clearCookie(COOKIE, { path: '/' })
}

const storeOf = (request: FastifyRequest) => request.sessionStore as unknown as SafeSessionStore
