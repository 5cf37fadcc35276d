import cors from '@fastify/cors'

export default async function (app) {
  await app.register(cors, { origin: ['http://localhost:5173'], credentials: true, methods: ['GET', 'POST', 'DELETE'] })
  app.get('/', async () => [{ id: 1 }])
  app.post('/', async (request) => ({ added: request.body }))
  app.delete('/:id', async (request) => ({ removed: request.params.id }))
}
