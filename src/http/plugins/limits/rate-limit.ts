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
    /** It is answered however busy the service is, and whoever asks: for those who look after it. */
    bypassLimits?: true
  }
  interface FastifyInstance {
    /** As `config.rateLimit` of a route that signs in: SIGN_IN_LIMIT. */
    signInLimit: { max: number } | false
  }
}

const CACHED_ADDRESSES = 10_000

/**
 * RATE_LIMIT for every request of an address, and `config: { rateLimit: { max, timeWindow } }` of @fastify/rate-limit for
 * routes that want one of their own, which is counted in Redis with each request.
 */
export const rateLimit = fp<{ config: Pick<Config, 'http'>; redis: RedisConnection }>(
  async (app, { config, redis }) => {
    const { windowMs, limit, signInLimit, exempt } = config.http.rate
    const clientOf = clients(exempt)
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
      keyGenerator: (request) => clientOf(request.ip).key,
      allowList: (request) => clientOf(request.ip).exempt,
      addHeaders: withoutHeaders,
      addHeadersOnExceeding: withoutHeaders,
      errorResponseBuilder: (_request, { ttl }) => tooMany(ttl)
    })
    if (limit === 0) return
    const check = app.createRateLimit()
    const refuse = async (request: FastifyRequest) => {
      const result = await check(request)
      if (!result.isAllowed && result.isExceeded) throw tooMany(result.ttl)
    }
    app.addHook('onRequest', (request, _reply, done) => {
      // Before anything is awaited: whoever is exempt pays nothing.
      if (request.routeOptions.config.bypassLimits || clientOf(request.ip).exempt) return done()
      refuse(request).then(() => done(), done)
    })
  }
)

/** Nobody is told how far they may go; who went too far is told when to come back. */
const withoutHeaders = { 'x-ratelimit-limit': false, 'x-ratelimit-remaining': false, 'x-ratelimit-reset': false }

const tooMany = (ttlMs: number) =>
  new HttpError(429, 'RATE_LIMITED', 'Too many requests from this address', { retryAfter: Math.ceil(ttlMs / 1000) })

/** What an address counts as, an IPv6 one with all of its /64, which is one client's; and whether it counts at all. */
function clients(exempt: readonly string[]): (ip: string) => { key: string; exempt: boolean } {
  const isExempt = inRanges(exempt)
  const known = new Map<string, { key: string; exempt: boolean }>()
  return (ip) => {
    const found = known.get(ip)
    if (found) return found
    if (known.size >= CACHED_ADDRESSES) known.clear()
    const client = { key: networkOf(ip), exempt: isExempt(ip) }
    known.set(ip, client)
    return client
  }
}
