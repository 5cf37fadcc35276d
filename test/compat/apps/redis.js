import redis from '@fastify/redis'

export default async function (app) {
  await app.register(redis, { url: process.env.REDIS_URL, closeClient: true })
  app.get('/', async () => ({ pong: await app.redis.ping() }))
  app.post('/count', async () => ({ count: await app.redis.incr('count-of-the-app') }))
}
