import cluster from 'node:cluster'
import { hostname } from 'node:os'
import cookie from '@fastify/cookie'
import session from '@fastify/session'
import { RedisStore } from 'connect-redis'
import Fastify, { type FastifyInstance, type FastifyPluginAsync } from 'fastify'
import { Redis } from 'ioredis'
import { collectDefaultMetrics, register } from 'prom-client'

// What the documentation of the parts tells one to write, their defaults untouched. The session is registered where it
// is needed, so that a hit pays for none; `secure: false` is what @fastify/session asks for on plain http.

declare module 'fastify' {
  interface Session {
    visits?: number
  }
}

const host = hostname()
const key = 'by-the-book:hits'

export async function build(): Promise<FastifyInstance> {
  const app = Fastify({ logger: { level: process.env.LOG_LEVEL ?? 'warn' } })
  const redis = new Redis(String(process.env.REDIS_URL))
  collectDefaultMetrics()
  app.get('/readyz', () => ({ ready: true }))
  app.get('/metrics', async (_request, reply) => reply.type(register.contentType).send(await register.metrics()))
  app.post('/hits', async () => ({ hits: await redis.incr(key) }))
  const pages: FastifyPluginAsync = async (scope) => {
    await scope.register(cookie)
    await scope.register(session, {
      secret: 'a secret with minimum length of 32 characters',
      cookie: { secure: false },
      store: new RedisStore({ client: redis })
    })
    scope.get('/', async (request) => {
      request.session.visits = (request.session.visits ?? 0) + 1
      const worker = { slot: Number(cluster.worker?.id), pid: process.pid, generation: 1 }
      return { hits: await redis.incr(key), visits: request.session.visits, worker, host }
    })
  }
  await app.register(pages)
  return app
}
