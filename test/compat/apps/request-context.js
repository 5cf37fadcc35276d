import { fastifyRequestContext, requestContext } from '@fastify/request-context'

const later = () => new Promise((resolve) => setImmediate(() => resolve(requestContext.get('name'))))

export default async function (app) {
  await app.register(fastifyRequestContext)
  app.addHook('onRequest', async (request) => {
    requestContext.set('name', request.headers['x-name'] ?? 'nameless')
  })
  app.get('/', async () => ({ name: await later() }))
}
