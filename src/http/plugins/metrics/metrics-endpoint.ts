import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import { HttpError, unauthorized } from '../../../common/errors.ts'
import type { Config } from '../../../config/load.ts'
import type { Collection } from '../../../ipc/messages.ts'
import type { ServiceRoutes } from '../../routing/service-routes.ts'
import { bearerOf, Tokens } from '../security/tokens.ts'
import { OPENMETRICS, render, TEXT } from './metrics-page.ts'

export interface MetricsOptions {
  config: Pick<Config, 'metricsTokens'>
  /** Collects the metrics of all processes. Rejects when the primary does not answer. */
  collectMetrics: () => Promise<Collection>
  routes: ServiceRoutes
}

/** Matches `Accept-Encoding` unless it gives gzip the quality 0. */
const ACCEPTS_GZIP = /\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))/

const compress = promisify(gzip)

/**
 * `GET /metrics`: the series of all workers and of the primary on one page, the same from every worker. Requests that arrive
 * during a collection share it.
 */
export const metrics: FastifyPluginAsync<MetricsOptions> = async (app, { config, collectMetrics, routes }) => {
  const url = routes.claim('metrics')
  if (!url) return
  const tokens = new Tokens({ read: config.metricsTokens })
  const requireToken = async (request: FastifyRequest) => {
    if (tokens.any && tokens.levelOf(bearerOf(request)) === undefined) throw unauthorized()
  }
  let running: Promise<Collection> | undefined
  const collectShared = () => {
    running ??= collectMetrics().finally(() => {
      running = undefined
    })
    return running
  }
  app.get(
    url,
    { config: { quiet: true, bypassLimits: true, port: 'admin' }, onRequest: requireToken },
    async (request, reply) => {
      const collection = await collectShared().catch((cause: unknown) => {
        throw new HttpError(503, 'METRICS_UNAVAILABLE', 'The primary does not answer', { cause, retryAfter: 1 })
      })
      if (collection.missing.length > 0) app.log.warn({ missing: collection.missing }, 'metrics are partial')
      const { accept = '', 'accept-encoding': encodings = '' } = request.headers
      const type = accept.includes('application/openmetrics-text') ? OPENMETRICS : TEXT
      const page = render(collection, type)
      void reply.type(type).header('vary', 'accept, accept-encoding')
      if (!ACCEPTS_GZIP.test(String(encodings))) return reply.send(page)
      return reply.header('content-encoding', 'gzip').send(await compress(page))
    }
  )
}
