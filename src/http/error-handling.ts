import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods } from 'fastify'
import { HttpError, MethodNotAllowedError, notFound } from '../common/errors.ts'
import { http } from '../common/node-http.ts'
import { type ParserError, refusalOfParserError } from './parser-errors.ts'
import { refusedOnSocket } from './plugins/log/completion.ts'
import { securityHeaders } from './plugins/security/security-headers.ts'

const LINGER_MS = 500

/**
 * Answers for what goes wrong, all in Fastify's JSON shape; nothing of Redis' text and no stack ever leaves.
 * @returns to be called once all routes are there: methods that a path does not have then answer 405 instead of 404, and
 * OPTIONS says which it has
 */
export function handleErrors(app: FastifyInstance): () => void {
  app.setErrorHandler(answerError)
  app.setNotFoundHandler(refusePath)

  const methodsOf = new Map<string, Set<string>>()
  app.addHook('onRoute', ({ url, method }) => {
    const known = methodsOf.get(url) ?? new Set()
    methodsOf.set(url, known)
    for (const one of [method].flat()) known.add(one)
  })
  return () => {
    // Before the body is read, by a hook behind all others: Fastify calls a not-found handler after that.
    app.addHook('onRequest', async (request) => {
      if (request.is404) refusePath(request)
    })
    for (const [url, known] of [...methodsOf]) {
      if (url.includes('*')) continue
      const allow = [...new Set([...known, 'OPTIONS'])].join(', ')
      if (!known.has('OPTIONS')) tellMethods(app, url, allow)
      const others = app.supportedMethods.filter((method) => !known.has(method) && method !== 'OPTIONS')
      if (others.length > 0) refuse(app, url, others, allow)
    }
  }
}

function refusePath(request: FastifyRequest): never {
  throw notFound(request.method, pathOf(request))
}

function tellMethods(app: FastifyInstance, url: string, allow: string): void {
  app.options(url, (_request, reply) => reply.header('allow', allow).code(204).send())
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
  if (isCut(request.raw)) {
    request.log.debug({ err: error }, 'request body did not arrive')
    return reply.send()
  }
  request.log.error({ err: error }, 'a handler failed')
  return reply.code(500).send(new HttpError(500, 'INTERNAL', 'Something went wrong here'))
}

/**
 * Whether the connection ended before the whole body had arrived: the client left, or was told 408. What the handler then
 * throws is a consequence, not a failure, and nobody gets its answer.
 */
const isCut = (request: IncomingMessage) => request.destroyed && !request.complete

const pathOf = (request: FastifyRequest) => request.url.split('?', 1)[0] as string

/** What a server knows of its connections. */
export interface ServerConnections {
  /** Another worker handed it over, and its client has asked nothing since. */
  isIdleTransferred(socket: Socket): boolean
  /** Calls back when what has arrived is read, unless that made a request whole. */
  afterPendingInput(socket: Socket, end: () => void): void
  /** How often accepting has paused for want of file descriptors. */
  acceptPauses(): number
  /** It came in at ADMIN_PORT. */
  isAdminSocket(socket: Socket): boolean
  /** Connections refused since the start, by the limit that they passed. */
  refusalCounts(): Readonly<Record<string, number>>
}

type HttpSocket = Socket & { _httpMessage?: ServerResponse | null }

/**
 * Answers a request that never became one, in the same JSON shape, and closes. Answers to requests before it on the
 * connection come first.
 */
export function answerClientError(error: ParserError, socket: HttpSocket, connections?: ServerConnections): void {
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && connections) {
    if (connections.isIdleTransferred(socket)) return
    connections.afterPendingInput(socket, () => answerClientError(error, socket))
    return
  }
  // The rest of what was refused already.
  if (socket.writableEnded && error.code?.startsWith('HPE_')) return
  const answer = socket._httpMessage
  if (error.code === 'ECONNRESET' || !socket.writable || (answer?.headersSent && !answer.req.complete)) {
    socket.destroy()
    return
  }
  if (answer?.req.complete) {
    answer.once('close', () => answerClientError(error, socket, connections))
    return
  }
  const { statusCode, code, message } = refusalOfParserError(error, socket)
  // A client that ends its connection in the middle of a request has left, as far as anybody can tell.
  if (answer && error.code !== 'HPE_INVALID_EOF_STATE') refusedOnSocket(answer, statusCode)
  endWith(socket, statusCode, code, message)
}

/** An answer where there is no request to answer to: the last on its connection. */
export function endWith(
  socket: Duplex,
  statusCode: number,
  code: string,
  message: string,
  headers: Record<string, string> = {}
): void {
  const body = JSON.stringify({ statusCode, code, error: http.STATUS_CODES[statusCode], message })
  const all = {
    ...securityHeaders(isSecure(socket)).headers,
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    ...headers,
    connection: 'close'
  }
  // Node takes its own listener away from a socket that it gives to others, and an error without one ends the process.
  socket.on('error', () => socket.destroy())
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(`HTTP/1.1 ${statusCode} ${http.STATUS_CODES[statusCode]}\r\n${lines.join('')}\r\n${body}`)
  linger(socket)
}

/** Whether it is TLS. */
export const isSecure = (socket: Duplex): boolean => 'encrypted' in socket

/** Reads on for a moment: bytes that come after the end would reset the connection before the answer was read. */
function linger(socket: Duplex): void {
  const timer = setTimeout(() => socket.destroy(), LINGER_MS)
  socket.once('close', () => clearTimeout(timer)).once('end', () => socket.destroy())
}
