import type { FastifyPluginAsync } from 'fastify'
import type { ServiceView } from '../../ipc/messages.ts'
import type { ServiceRoutes } from '../routing/service-routes.ts'

/**
 * `/livez` answers for this process. `/readyz` and `/healthz` answer for the whole service, the same from every worker;
 * `?verbose` adds the single checks.
 */
export const health: FastifyPluginAsync<{ routes: ServiceRoutes }> = async (app, { routes }) => {
  const config = { quiet: true, bypassLimits: true, port: 'both' } as const
  const livez = routes.claim('livez')
  if (livez) app.get(livez, { config }, async () => ({ status: 'ok' }))

  for (const url of [routes.claim('readyz'), routes.claim('healthz')]) {
    if (!url) continue
    app.get<{ Querystring: { verbose?: string } }>(url, { config }, async (request, reply) => {
      const view = app.cluster()
      const verbose = request.query.verbose !== undefined && { checks: checksOf(view) }
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

function checksOf({ state, redis, workers, desired }: ServiceView) {
  const ready = workers.filter((worker) => worker.status === 'ready').length
  return { service: state, redis: redis ? 'up' : 'away', workers: `${ready} of ${desired} ready` }
}
