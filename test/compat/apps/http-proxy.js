import proxy from '@fastify/http-proxy'

export default async function (app) {
  await app.register(proxy, { upstream: process.env.UPSTREAM, prefix: '/api', websocket: true })
  app.get('/', async () => ({ own: true }))
}
