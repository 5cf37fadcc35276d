import formbody from '@fastify/formbody'

export default async function (app) {
  await app.register(formbody)
  app.get('/', async (_request, reply) =>
    reply
      .type('text/html')
      .send('<!doctype html><title>form</title><form method="post"><input name="name"><button>Send</button></form>')
  )
  app.post('/', async (request, reply) =>
    reply.type('text/html').send(`<title>form</title><p>Hello ${request.body.name}</p>`)
  )
}
