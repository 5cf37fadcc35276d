import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { StartupError } from '../../../common/errors.ts'
import { replyOf } from '../log/in-flight.ts'

/**
 * Returns how much longer the route of a request lets it arrive, in ms; negative when it is late, Infinity without a limit.
 * Undefined means that the route says nothing, so that REQUEST_TIMEOUT applies.
 */
export function routeTimeLeft(request: IncomingMessage): number | undefined {
  const reply = replyOf(request)
  const limitMs = reply?.request.routeOptions.config.requestTimeout
  if (reply === undefined || limitMs === undefined) return undefined
  return limitMs === 0 ? Number.POSITIVE_INFINITY : limitMs - reply.elapsedTime
}

/** Refuses routes with an invalid `requestTimeout`. @throws StartupError when such a route is registered */
export function checkRequestTimeouts(app: FastifyInstance): void {
  app.addHook('onRoute', ({ method, url, config }) => {
    const limitMs = config?.requestTimeout
    if (limitMs === undefined || (Number.isSafeInteger(limitMs) && limitMs >= 0)) return
    throw new StartupError(`route ${method} ${url}: config.requestTimeout must be a number of ms, or 0 for no limit`)
  })
}
