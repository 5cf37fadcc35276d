import swagger from '@fastify/swagger'

export default async function (app) {
  await app.register(swagger, { openapi: { info: { title: 'Pets', version: '2.0.0' } } })
  app.get(
    '/pets/:id',
    { schema: { params: { type: 'object', properties: { id: { type: 'integer' } } } } },
    async (request) => ({
      id: request.params.id
    })
  )
  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger())
}
