import cookie from '@fastify/cookie'
import csrf from '@fastify/csrf-protection'

export default async function (app) {
  await app.register(cookie, { secret: 'a secret of at least thirty-two characters' })
  await app.register(csrf, { cookieOpts: { signed: true, path: '/' } })
  app.get('/', async (_request, reply) => ({ token: reply.generateCsrf() }))
  app.post('/', { onRequest: app.csrfProtection }, async () => ({ done: true }))
}
