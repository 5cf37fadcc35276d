import type { FastifyPluginAsync } from 'fastify'
import type { ServiceView } from '../../ipc/messages.ts'

/** Liveness is about this process only; readiness is one answer for the service, whichever worker is asked. */
export const health: FastifyPluginAsync = async (app) => {
  app.get('/livez', { config: { quiet: true, bypassLimits: true, port: 'both' } }, async () => ({ status: 'ok' }))

  for (const url of ['/readyz', '/healthz']) {
    app.get<{ Querystring: { verbose?: string } }>(
      url,
      { config: { quiet: true, bypassLimits: true, port: 'both' } },
      async (request, reply) => {
        const view = app.cluster()
        const verbose = request.query.verbose !== undefined && { checks: checksOf(view) }
        const why = whyNotReady(view)
        if (why === undefined) return { status: 'ok', ...verbose }
        const error = { statusCode: 503, code: 'NOT_READY', error: 'Service Unavailable', message: why }
        return reply
          .code(503)
          .header('retry-after', 1)
          .send({ ...error, ...verbose })
      }
    )
  }
}

function whyNotReady({ state, redis }: ServiceView): string | undefined {
  if (state === 'starting') return 'The service is starting'
  if (state === 'draining') return 'The service is draining'
  return redis ? undefined : 'The shared state is not available at the moment'
}

function checksOf({ state, redis, workers, desired }: ServiceView) {
  const ready = workers.filter((worker) => worker.status === 'ready').length
  return { service: state, redis: redis ? 'up' : 'away', workers: `${ready} of ${desired} ready` }
}
