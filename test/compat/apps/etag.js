import etag from '@fastify/etag'

export default async function (app) {
  await app.register(etag)
  app.get('/', async () => ({ text: 'always the same' }))
}
