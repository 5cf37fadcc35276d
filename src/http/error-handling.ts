import type { IncomingMessage } from 'node:http'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods } from 'fastify'
import { HttpError, MethodNotAllowedError, notFound } from '../common/errors.ts'

/**
 * Answers all errors in Fastify's JSON shape. Stack traces and texts of Redis never reach a client.
 * @returns a function to call after all routes are registered: from then on, methods that a path does not have answer 405
 * instead of 404, and OPTIONS lists those it has
 */
export function handleErrors(app: FastifyInstance): () => void {
  app.setErrorHandler(sendError)
  app.setNotFoundHandler(refusePath)

  const methodsByUrl = new Map<string, Set<string>>()
  app.addHook('onRoute', ({ url, method }) => {
    const methods = methodsByUrl.get(url) ?? new Set()
    methodsByUrl.set(url, methods)
    for (const name of [method].flat()) methods.add(name)
  })
  return () => {
    // A hook after all others, because Fastify calls the not-found handler only after it has read the body.
    app.addHook('onRequest', async (request) => {
      if (request.is404) refusePath(request)
    })
    for (const [url, methods] of [...methodsByUrl]) {
      if (!url.includes('*')) completeMethods(app, url, methods)
    }
  }
}

/** Adds the methods that a path lacks. */
function completeMethods(app: FastifyInstance, url: string, methods: ReadonlySet<string>): void {
  const allow = [...new Set([...methods, 'OPTIONS'])].join(', ')
  if (!methods.has('OPTIONS')) {
    app.options(url, (_request, reply) => reply.header('allow', allow).code(204).send())
  }
  const missing = app.supportedMethods.filter((method) => !methods.has(method) && method !== 'OPTIONS')
  if (missing.length > 0) refuseMethods(app, url, missing, allow)
}

function refuseMethods(app: FastifyInstance, url: string, methods: HTTPMethods[], allow: string): void {
  app.route({
    url,
    method: methods,
    exposeHeadRoute: false,
    // Before the body is read: the method is wrong, whatever the body contains.
    onRequest: async (request) => {
      throw new MethodNotAllowedError(request.method, pathOf(request), allow)
    },
    handler: () => {}
  })
}

function refusePath(request: FastifyRequest): never {
  throw notFound(request.method, pathOf(request))
}

/** @param error anything that a handler threw */
function sendError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
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

const pathOf = (request: FastifyRequest) => request.url.split('?', 1)[0] as string
