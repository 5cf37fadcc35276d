import underPressure from '@fastify/under-pressure'

export default async function (app) {
  await app.register(underPressure, {
    maxHeapUsedBytes: 1_000_000_000,
    healthCheck: async () => true,
    exposeStatusRoute: '/status'
  })
  app.get('/', async () => ({ pressure: app.isUnderPressure() }))
}
