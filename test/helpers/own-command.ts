import type { FastifyPluginAsync } from 'fastify'
import exampleRoutes from '../../src/routes/index.ts'

/** The example, and a route with a Redis command of its own. */
export const routesWithOwnCommand: FastifyPluginAsync = async (app) => {
  await app.register(exampleRoutes)
  app.get('/own', { config: { session: false } }, async () => ({ own: await app.redis.get('own') }))
}
