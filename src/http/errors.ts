import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods } from 'fastify'
import { HttpError, MethodNotAllowedError, notFound } from '../errors.ts'

const METHODS: HTTPMethods[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']

/**
 * Answers for what goes wrong, all in Fastify's JSON shape; nothing of Redis' text and no stack ever leaves.
 * @returns to be called once all routes are there: methods that a path does not have then answer 405 instead of 404
 */
export function handleErrors(app: FastifyInstance): () => void {
  app.setErrorHandler(answerError)
  app.setNotFoundHandler((request) => {
    throw notFound(request.method, pathOf(request))
  })

  const methodsOf = new Map<string, Set<string>>()
  app.addHook('onRoute', ({ url, method }) => {
    const known = methodsOf.get(url) ?? new Set()
    methodsOf.set(url, known)
    for (const one of [method].flat()) known.add(one)
  })
  return () => {
    for (const [url, known] of [...methodsOf]) {
      const others = METHODS.filter((method) => !known.has(method))
      if (others.length > 0 && !url.includes('*')) refuse(app, url, others, [...known].join(', '))
    }
  }
}

function refuse(app: FastifyInstance, url: string, methods: HTTPMethods[], allow: string): void {
  app.route({
    url,
    method: methods,
    exposeHeadRoute: false,
    // Before the body is read: the method is wrong whatever is in it.
    onRequest: async (request) => {
      throw new MethodNotAllowedError(request.method, pathOf(request), allow)
    },
    handler: () => {}
  })
}

/** @param error what a handler threw: anything */
function answerError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const statusCode = Number((error as FastifyError | undefined)?.statusCode ?? 500)
  if (error instanceof MethodNotAllowedError) void reply.header('allow', error.allow)
  if (error instanceof HttpError && error.retryAfter !== undefined) void reply.header('retry-after', error.retryAfter)
  if (error instanceof HttpError || (statusCode >= 400 && statusCode < 500)) return reply.code(statusCode).send(error)
  request.log.error({ err: error }, 'a handler failed')
  return reply.code(500).send(new HttpError(500, 'INTERNAL', 'Something went wrong here'))
}

const pathOf = (request: FastifyRequest) => request.url.split('?', 1)[0] as string

/** What the HTTP parser refuses, by node's codes; everything else is 400. */
const CLIENT_ERRORS: Record<string, [status: number, message: string]> = {
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'The request did not arrive in time'],
  HPE_HEADER_OVERFLOW: [431, 'The headers are too large']
}

/** Answers a request that never became one, in the same JSON shape, and closes. */
export function answerClientError(
  error: Error & { code?: string },
  socket: Socket,
  isIdleAdopted?: (socket: Socket) => boolean
): void {
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && isIdleAdopted?.(socket)) return
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const [statusCode, message] = CLIENT_ERRORS[error.code ?? ''] ?? [400, 'This is no HTTP request']
  const body = JSON.stringify({ statusCode, code: 'CLIENT_ERROR', error: STATUS_CODES[statusCode], message })
  const head = `HTTP/1.1 ${statusCode} ${STATUS_CODES[statusCode]}\r\nContent-Type: application/json; charset=utf-8\r\n`
  socket.end(`${head}Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`, () =>
    socket.destroy()
  )
}
