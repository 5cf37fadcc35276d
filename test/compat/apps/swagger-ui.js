import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'

export default async function (app) {
  await app.register(swagger, { openapi: { info: { title: 'Pets', version: '2.0.0' } } })
  await app.register(swaggerUi, { routePrefix: '/docs' })
  app.get(
    '/pets/:id',
    { schema: { params: { type: 'object', properties: { id: { type: 'integer' } } } } },
    async (request) => ({
      id: request.params.id
    })
  )
}
