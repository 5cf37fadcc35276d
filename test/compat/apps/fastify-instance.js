import Fastify from 'fastify'

const app = Fastify({ logger: true, bodyLimit: 2048 })
app.decorate('greeting', 'hello')
app.get('/', async () => ({ [app.greeting]: 'world' }))
app.post('/', async (request) => ({ got: request.body }))
app.setNotFoundHandler((request, reply) => reply.code(404).send({ own: 'not found', url: request.url }))
app.setErrorHandler((error, _request, reply) => reply.code(error.statusCode ?? 500).send({ own: error.message }))
app.get('/broken', async () => {
  throw Object.assign(new Error('broken on purpose'), { statusCode: 418 })
})

await app.listen({ port: 3000 })
