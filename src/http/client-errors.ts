import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { sendFinalAnswer } from './final-answer.ts'
import { type ParserError, refusalOfParserError } from './parser-errors.ts'
import { routeTimeLeft } from './plugins/limits/request-timeout.ts'
import { markRefusedOnSocket } from './plugins/log/completion.ts'

/** What the app asks the server about its connections. */
export interface ServerConnections {
  /** Whether another worker transferred the connection and its client has sent no request since. */
  isIdleTransferred(socket: Socket): boolean
  /** Calls back after input that has already arrived was read, unless that input completed a request. */
  afterPendingInput(socket: Socket, callback: () => void): void
  /** Returns the response of HTTP/1.1 that is being sent, or is the next one; undefined when all requests are answered. */
  currentResponse(socket: Socket): ServerResponse | undefined
  /** Returns the request of HTTP/1.1 whose body is still arriving. */
  incompleteRequest(socket: Socket): IncomingMessage | undefined
  /** How often accepting was paused for lack of file descriptors. */
  acceptPauses(): number
  /** Whether the connection was accepted at ADMIN_PORT. */
  isAdminSocket(socket: Socket): boolean
  /** Connections refused since the start, by the name of the limit. */
  refusalCounts(): Readonly<Record<string, number>>
}

/**
 * Fastify's `clientErrorHandler`: answers input that never became a request, in the JSON shape of all errors, and closes the
 * connection. Answers to earlier requests of the connection are sent first.
 */
export function answerClientError(error: ParserError, socket: Socket, connections?: ServerConnections): void {
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && connections) {
    if (connections.isIdleTransferred(socket) || isAllowedByRoute(connections.incompleteRequest(socket))) return
    connections.afterPendingInput(socket, () => refuse(error, socket, connections))
    return
  }
  refuse(error, socket, connections)
}

/** Node reports once that a request is over REQUEST_TIMEOUT. The server ends it at the limit of its route. */
const isAllowedByRoute = (request: IncomingMessage | undefined) =>
  request !== undefined && (routeTimeLeft(request) ?? 0) > 0

function refuse(error: ParserError, socket: Socket, connections: ServerConnections | undefined): void {
  // The rest of input that was already refused.
  if (socket.writableEnded && error.code?.startsWith('HPE_')) return
  const current = connections?.currentResponse(socket)
  const isAnswerStarted = current?.headersSent && !current.req.complete
  if (error.code === 'ECONNRESET' || !socket.writable || isAnswerStarted) {
    socket.destroy()
    return
  }
  if (current?.req.complete) {
    current.once('close', () => refuse(error, socket, connections))
    return
  }
  const { statusCode, code, message } = refusalOfParserError(error, socket)
  // A connection that ends within a request counts as a client that left.
  if (current && error.code !== 'HPE_INVALID_EOF_STATE') markRefusedOnSocket(current, statusCode)
  sendFinalAnswer(socket, statusCode, code, message)
}
