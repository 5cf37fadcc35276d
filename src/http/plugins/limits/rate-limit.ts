import fastifyRateLimit from '@fastify/rate-limit'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { HttpError } from '../../../common/errors.ts'
import type { Config } from '../../../config/load.ts'
import { inRanges } from '../../../net/address-ranges.ts'
import type { RedisConnection } from '../../../state/redis/redis-connection.ts'
import { networkOf } from './network.ts'
import { RateStore } from './rate-store.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The route is answered even when the service is overloaded or the client is over its rate limit: for operators. */
    bypassLimits?: true
  }
  interface FastifyInstance {
    /** The `config.rateLimit` of a route that signs users in: SIGN_IN_LIMIT; false when there is no limit. */
    signInLimit: { max: number } | false
  }
}

const MAX_CACHED_ADDRESSES = 10_000

/** Clients are not told their limit. A client that is over it is told when to come back, by `Retry-After`. */
const NO_HEADERS = { 'x-ratelimit-limit': false, 'x-ratelimit-remaining': false, 'x-ratelimit-reset': false }

/**
 * Enforces RATE_LIMIT for all requests of a client address. A route may have its own limit, `config: { rateLimit: { max,
 * timeWindow } }` of @fastify/rate-limit, which is counted in Redis with each request.
 */
export const rateLimit = fp<{ config: Pick<Config, 'http'>; redis: RedisConnection }>(
  async (app, { config, redis }) => {
    const { windowMs, limit, signInLimit, exempt } = config.http.rate
    const identify = clientIdentifier(exempt)
    app.decorate('signInLimit', signInLimit > 0 ? { max: signInLimit } : false)
    await app.register(fastifyRateLimit, {
      global: false,
      max: limit,
      timeWindow: windowMs,
      store: class extends RateStore {
        constructor() {
          super(redis)
        }
      } as never,
      keyGenerator: (request) => identify(request.ip).key,
      allowList: (request) => identify(request.ip).isExempt,
      addHeaders: NO_HEADERS,
      addHeadersOnExceeding: NO_HEADERS,
      errorResponseBuilder: (_request, { ttl }) => rateLimited(ttl)
    })
    if (limit === 0) return
    const check = app.createRateLimit()
    const enforce = async (request: FastifyRequest) => {
      const result = await check(request)
      if (!result.isAllowed && result.isExceeded) throw rateLimited(result.ttl)
    }
    app.addHook('onRequest', (request, _reply, done) => {
      // Synchronous, so that requests that are exempt pay for no promise.
      if (request.routeOptions.config.bypassLimits || identify(request.ip).isExempt) return done()
      enforce(request).then(() => done(), done)
    })
  }
)

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
