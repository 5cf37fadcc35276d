import cookie from '@fastify/cookie'
import session from '@fastify/session'
import { RedisStore } from 'connect-redis'
import { Redis } from 'ioredis'

export default async function (app) {
  const client = new Redis(process.env.REDIS_URL)
  app.addHook('onClose', () => client.quit())
  await app.register(cookie)
  await app.register(session, {
    secret: 'a secret of at least thirty-two characters',
    cookieName: 'my-session',
    cookie: { secure: false },
    store: new RedisStore({ client, prefix: 'my-sessions:' })
  })
  app.get('/', async (request) => {
    request.session.visits = (request.session.visits ?? 0) + 1
    return { visits: request.session.visits }
  })
  app.post('/login', async (request) => {
    await request.session.regenerate()
    request.session.user = request.body.user
    return { user: request.session.user }
  })
  app.get('/me', async (request) => ({ user: request.session.user ?? null }))
  app.post('/logout', async (request) => {
    await request.session.destroy()
    return { user: null }
  })
}
