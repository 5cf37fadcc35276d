import fastifyRateLimit, { type RateLimitPluginOptions } from '@fastify/rate-limit'
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import { HttpError, StartupError } from '../../../common/errors.ts'
import type { Config } from '../../../config/load.ts'
import { inRanges } from '../../../net/address-ranges.ts'
import type { RedisConnection } from '../../../state/redis/redis-connection.ts'
import type { AppOptions } from '../../app-options.ts'
import { resumptionOf } from '../../transferable.ts'
import { registerApart } from '../register-apart.ts'
import { addRouteHook } from '../route-hook.ts'
import { networkOf } from './network.ts'
import { RateStore } from './rate-store.ts'

const MAX_CACHED_ADDRESSES = 10_000

/** Clients are not told their limit. A client that is over it is told when to come back, by `Retry-After`. */
const NO_HEADERS = { 'x-ratelimit-limit': false, 'x-ratelimit-remaining': false, 'x-ratelimit-reset': false }

interface RateLimitOptions {
  config: Pick<Config, 'http'>
  redis: RedisConnection
  served: { options: AppOptions }
}

/**
 * Enforces RATE_LIMIT for all requests of a client address. A route may have its own limit, `config: { rateLimit: { max,
 * timeWindow } }` of @fastify/rate-limit, which is counted in Redis with each request; where the app has registered that plugin
 * itself, such a limit is the plugin's.
 */
export const rateLimit = fp<RateLimitOptions>(async (app, { config, redis, served }) => {
  const { windowMs, limit, signInLimit, exempt } = config.http.rate
  const identify = clientIdentifier(exempt)
  const isExempt = (request: FastifyRequest) => identify(request.ip).isExempt
  app.decorate<FastifyInstance['signInLimit']>(
    'signInLimit',
    signInLimit > 0 && { max: signInLimit, allowList: isExempt }
  )
  if (served.options.rateLimit === false) return
  const options: RateLimitPluginOptions = {
    global: false,
    max: limit,
    timeWindow: windowMs,
    store: class extends RateStore {
      constructor() {
        super(redis)
      }
    } as never,
    keyGenerator: (request) => identify(request.ip).key,
    addHeaders: NO_HEADERS,
    addHeadersOnExceeding: NO_HEADERS,
    errorResponseBuilder: (_request, { ttl }) => rateLimited(ttl)
  }
  const { limitRoute, createCheck } = await registerApart(app, async (scope) => {
    await scope.register(fastifyRateLimit, options)
    return { limitRoute: scope.rateLimit, createCheck: scope.createRateLimit }
  })
  limitRoutes(app, limitRoute)
  if (limit === 0) return
  const check = createCheck()
  const enforce = async (request: FastifyRequest) => {
    const result = await check(request)
    if (!result.isAllowed && result.isExceeded) throw rateLimited(result.ttl)
  }
  app.addHook('onRequest', (request, _reply, done) => {
    // Synchronous, so that requests that are exempt pay for no promise.
    const { bypassLimits } = request.routeOptions.config
    if (bypassLimits || isExempt(request) || resumptionOf(request.raw)) return done()
    enforce(request).then(() => done(), done)
  })
})

type RouteLimit = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>

/** Enforces `config.rateLimit` of every route, unless @fastify/rate-limit is registered in the scope of the route. */
function limitRoutes(app: FastifyInstance, create: FastifyInstance['rateLimit']): void {
  const routes: (() => void)[] = []
  app.addHook('onRoute', function (this: FastifyInstance, route) {
    let limit: RouteLimit | undefined
    routes.push(() => {
      const options = route.config?.rateLimit
      if (!options || this.hasPlugin('@fastify/rate-limit')) return
      assertOptions(options, route)
      limit = create({ ...options, routeName: nameOf(route) } as typeof options) as RouteLimit
    })
    const { hook = 'onRequest' } = route.config?.rateLimit || {}
    if (hook !== 'onRequest') {
      addRouteHook(route, hook, async (request: FastifyRequest, reply: FastifyReply) => limit?.(request, reply))
      return
    }
    addRouteHook(route, hook, (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void) => {
      // Synchronous, because most routes have no limit.
      if (!limit || resumptionOf(request.raw)) return done()
      limit(request, reply).then(() => done(), done)
    })
  })
  // By then the app has registered all plugins, and its onRoute hooks have set `rateLimit`.
  app.addHook('onReady', async () => {
    for (const prepare of routes.splice(0)) prepare()
  })
}

function assertOptions(options: unknown, { method, url }: RouteOptions): void {
  if (typeof options === 'object') return
  throw new StartupError(`The rateLimit of ${method} ${url} is ${options}: set it to an object such as { max: 10 }`)
}

/** Names the count of a route. Fastify derives the HEAD route from a GET: both share it. */
function nameOf({ method, url }: RouteOptions): string {
  const methods = [method].flat().map((name) => (name === 'HEAD' ? 'GET' : name))
  return `${methods.join()}:${url}`
}

const rateLimited = (ttlMs: number) =>
  new HttpError(429, 'RATE_LIMITED', 'Too many requests from this address', { retryAfter: Math.ceil(ttlMs / 1000) })

interface ClientIdentity {
  /** The address under which its requests are counted. All addresses of an IPv6 /64 count as one. */
  key: string
  isExempt: boolean
}

/** @param exempt address ranges that are not limited */
function clientIdentifier(exempt: readonly string[]): (ip: string) => ClientIdentity {
  const isExempt = inRanges(exempt)
  const cache = new Map<string, ClientIdentity>()
  return (ip) => {
    const cached = cache.get(ip)
    if (cached) return cached
    if (cache.size >= MAX_CACHED_ADDRESSES) cache.clear()
    const identity = { key: networkOf(ip), isExempt: isExempt(ip) }
    cache.set(ip, identity)
    return identity
  }
}
