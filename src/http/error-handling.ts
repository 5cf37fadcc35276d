import type { IncomingMessage } from 'node:http'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { HttpError, MethodNotAllowedError, stateUnavailable } from '../common/errors.ts'
import { isOutage } from '../state/redis/redis-errors.ts'

/** Answers all errors in Fastify's JSON shape, unless a scope has an error handler of its own. */
export const handleErrors = (app: FastifyInstance): void => void app.setErrorHandler(sendError)

/**
 * Answers an error. Stack traces and texts of Redis never reach a client.
 * @param thrown anything that a handler threw
 */
function sendError(thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  // A route used `app.redis` and did not catch the error.
  const error = isOutage(thrown) ? stateUnavailable(thrown) : thrown
  const statusCode = Number((error as FastifyError | undefined)?.statusCode ?? 500)
  if (error instanceof MethodNotAllowedError) void reply.header('allow', error.allow)
  if (error instanceof HttpError && error.retryAfter !== undefined) void reply.header('retry-after', error.retryAfter)
  if (error instanceof HttpError || (statusCode >= 400 && statusCode < 500)) return reply.code(statusCode).send(error)
  if (isIncomplete(request.raw)) {
    request.log.debug({ err: error }, 'request body incomplete')
    return reply.send()
  }
  request.log.error({ err: error }, 'handler failed')
  return reply.code(500).send(new HttpError(500, 'INTERNAL', 'Internal error'))
}

/**
 * Whether the connection ended before the whole body had arrived: the client left or was answered 408. An error that the
 * handler then throws is a consequence, and there is no client to answer.
 */
const isIncomplete = (request: IncomingMessage) => request.destroyed && !request.complete
