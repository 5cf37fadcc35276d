import rateLimit from '@fastify/rate-limit'
import { Redis } from 'ioredis'

export default async function (app) {
  const redis = new Redis(process.env.REDIS_URL, { connectTimeout: 500, maxRetriesPerRequest: 1 })
  app.addHook('onClose', () => redis.quit())
  await app.register(rateLimit, {
    global: false,
    redis,
    nameSpace: 'limits-of-the-app:',
    keyGenerator: (request) => request.query.client ?? request.ip
  })
  const limit = { rateLimit: { max: 3, timeWindow: '1 minute' } }
  app.get('/limited', { config: limit }, async () => ({ allowed: true }))
  app.get('/', async () => ({ open: true }))
}
