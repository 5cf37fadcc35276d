import { join } from 'node:path'
import cookie from '@fastify/cookie'
import cors from '@fastify/cors'
import session from '@fastify/session'
import staticFiles from '@fastify/static'
import { RedisStore } from 'connect-redis'
import { Redis } from 'ioredis'

export default async function (app) {
  const client = new Redis(process.env.REDIS_URL)
  app.addHook('onClose', () => client.quit())
  // The page of another origin that uses the API, with cookies.
  await app.register(cors, { origin: [process.env.OTHER_ORIGIN], credentials: true })
  await app.register(cookie)
  await app.register(session, {
    secret: 'a secret of at least thirty-two characters',
    cookie: { secure: false },
    store: new RedisStore({ client, prefix: 'spa-sessions:' })
  })
  await app.register(staticFiles, { root: join(import.meta.dirname, 'public') })
  app.post('/api/login', async (request) => {
    await request.session.regenerate()
    request.session.user = request.body.user
    return { user: request.session.user }
  })
  app.get('/api/me', async (request) => ({ user: request.session.user ?? null }))
  app.post('/api/logout', async (request) => {
    await request.session.destroy()
    return { user: null }
  })
  // History fallback: the page shows every path that is no file and no part of the API.
  app.setNotFoundHandler((request, reply) => {
    if (request.method === 'GET' && !request.url.startsWith('/api/')) return reply.sendFile('index.html')
    return reply.code(404).send({ error: 'Not Found' })
  })
}
