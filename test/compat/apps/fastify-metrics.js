import metrics from 'fastify-metrics'

export default async function (app) {
  await app.register(metrics, { endpoint: '/metrics' })
  app.get('/', async () => ({ hello: 'world' }))
}
