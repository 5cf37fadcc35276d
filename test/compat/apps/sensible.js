import sensible from '@fastify/sensible'

export default async function (app) {
  await app.register(sensible)
  app.get('/', async (_request, reply) => {
    reply.cacheControl('public').maxAge('1h')
    return { found: true }
  })
  app.get('/absent', async (_request, reply) => reply.notFound('There is no such user'))
  app.get('/teapot', async () => app.httpErrors.imateapot())
  app.get('/checked/:id', async (request) => {
    app.assert(request.params.id === '1', 400, 'Only 1 is right')
    return { id: 1 }
  })
}
