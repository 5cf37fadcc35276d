import compress from '@fastify/compress'

export default async function (app) {
  await app.register(compress, { threshold: 100 })
  app.get('/', async () => ({ text: 'compressible '.repeat(1000) }))
  app.get('/short', async () => ({ text: 'short' }))
}
