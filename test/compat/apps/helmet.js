import helmet from '@fastify/helmet'

export default async function (app) {
  await app.register(helmet, {
    contentSecurityPolicy: { directives: { 'script-src': ["'self'", 'https://cdn.example'] } },
    referrerPolicy: { policy: 'same-origin' },
    xFrameOptions: { action: 'deny' }
  })
  app.get('/', async (_request, reply) => reply.type('text/html').send('<!doctype html><title>hello</title>'))
  app.get('/json', async () => ({ hello: 'world' }))
}
