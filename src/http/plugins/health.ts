import type { FastifyPluginAsync } from 'fastify'
import type { ServiceView } from '../../ipc/messages.ts'
import type { ServiceRoutes } from '../routing/service-routes.ts'

interface HealthOptions {
  routes: ServiceRoutes
  redis: { isOff: boolean }
}

/**
 * `/livez` answers for this process. `/readyz` and `/healthz` answer for the whole service, the same from every worker;
 * `?verbose` adds the single checks.
 */
export const health: FastifyPluginAsync<HealthOptions> = async (app, { routes, redis }) => {
  const config = { quiet: true, bypassLimits: true, port: 'both' } as const
  const livez = routes.claim('livez')
  if (livez) app.get(livez, { config }, async () => ({ status: 'ok' }))

  for (const url of [routes.claim('readyz'), routes.claim('healthz')]) {
    if (!url) continue
    app.get<{ Querystring: { verbose?: string } }>(url, { config }, async (request, reply) => {
      const view = app.cluster()
      const verbose = request.query.verbose !== undefined && { checks: checksOf(view, redis.isOff) }
      const message = reasonNotReady(view)
      if (message === undefined) return { status: 'ok', ...verbose }
      const error = { statusCode: 503, code: 'NOT_READY', error: 'Service Unavailable', message }
      return reply
        .code(503)
        .header('retry-after', 1)
        .send({ ...error, ...verbose })
    })
  }
}

/** @returns undefined when the service is ready */
function reasonNotReady({ state, redis }: ServiceView): string | undefined {
  if (state === 'starting') return 'The service is starting'
  if (state === 'draining') return 'The service is draining'
  return redis ? undefined : 'The shared state is not available at the moment'
}

function checksOf({ state, redis, workers, desired }: ServiceView, isOff: boolean) {
  const ready = workers.filter((worker) => worker.status === 'ready').length
  const redisState = redis ? 'up' : 'away'
  return { service: state, redis: isOff ? 'off' : redisState, workers: `${ready} of ${desired} ready` }
}
