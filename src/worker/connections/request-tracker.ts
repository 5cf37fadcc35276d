import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { type Resumption, setResumption } from '../../http/transferable.ts'
import { NODE_HAS_KEEP_ALIVE_BUFFER } from '../protocols/http1.ts'
import {
  type Connection,
  connectionOf,
  KEEP_ALIVE_BUFFER_MS,
  lastRequestOf,
  pauseReading,
  resumeReading
} from './connection.ts'
import type { ConnectionRegistry } from './connection-registry.ts'
import { isReset } from './peer-address.ts'

/** With this many unanswered requests, a connection is read again only when half of them are answered. */
const MAX_UNANSWERED = 100

/** Counts the HTTP/1.1 requests of every connection, and decides which response is the last of its connection. */
export class RequestTracker {
  /** Requests received since the start, including those of HTTP/2. */
  total = 0
  /** Every response that is the last of its connection says `Connection: close`. */
  closing = false
  /** A paused connection is not read again when its requests are answered, because a drain may transfer it. */
  keepsPaused = false
  /** The app. */
  handler: RequestListener = (_request, response) => void response.writeHead(503).end()
  readonly #registry: ConnectionRegistry
  readonly #keepAliveMs: number
  readonly #maxRequests: number

  /** @param options.maxRequests of one connection; 0 means no limit */
  constructor(registry: ConnectionRegistry, options: { keepAliveMs: number; maxRequests: number }) {
    this.#registry = registry
    this.#keepAliveMs = options.keepAliveMs
    this.#maxRequests = options.maxRequests || Number.POSITIVE_INFINITY
  }

  /** @returns whether the connection closes after the requests that it has sent */
  isEnding(socket: Socket): boolean {
    return this.closing || (connectionOf(socket)?.requests ?? 0) >= this.#maxRequests
  }

  /**
   * Returns whether this response ends its connection: the connection is ending or its client sends no more, and no other
   * request came after the one of the response.
   */
  isLast(response: ServerResponse): boolean {
    // undici removes `socket` from a request whose body it sends to another server.
    const socket = response.req.socket ?? response.socket
    if (!socket || (!this.isEnding(socket) && !socket.readableEnded)) return false
    const connection = connectionOf(socket)
    if (!connection) return true
    if (lastRequestOf(connection) !== response.req) return false
    connection.end = 'answered'
    return true
  }

  /**
   * Counts a request and gives it to the app, or lets it wait while 100 others of its connection are unanswered: one read of
   * 64 KiB can contain more than a thousand. The app gets no request of a connection that was refused or reset.
   */
  receive(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request
    const connection = connectionOf(socket)
    if (!connection) {
      // The connection was refused; the refusal is its only response.
      if (!socket.writableEnded) this.#begin(request, response)
      return
    }
    if (isReset(socket)) {
      socket.destroy()
      return
    }
    if (connection.resumption) resume(connection, connection.resumption, request)
    else this.total++
    connection.requests++
    connection.busy++
    connection.responses.push(response)
    // Node ends only the keep-alive timeout that it has started itself.
    if (connection.transferred && connection.requests === 1) socket.setTimeout(0)
    if (connection.busy >= MAX_UNANSWERED) pauseReading(connection)
    response.on('close', () => this.#onAnswered(connection, response))
    if (connection.busy <= MAX_UNANSWERED) this.#begin(request, response)
    else connection.waiting.push(() => this.#begin(request, response))
  }

  #begin(request: IncomingMessage, response: ServerResponse): void {
    // One turn later, so that all requests of a pipelined burst are known before the first response.
    if (this.isEnding(request.socket)) setImmediate(this.handler, request, response)
    else this.handler(request, response)
  }

  /** Runs once per response: Node emits `close` once. */
  #onAnswered(connection: Connection, response: ServerResponse): void {
    connection.busy--
    connection.idleSince = performance.now()
    const { responses } = connection
    if (responses[0] === response) responses.shift()
    else responses.splice(responses.indexOf(response), 1)
    connection.waiting.shift()?.()
    if (!this.keepsPaused && connection.busy <= MAX_UNANSWERED / 2) resumeReading(connection)
    if (connection.busy === 0 && !NODE_HAS_KEEP_ALIVE_BUFFER && !connection.leaving) {
      connection.socket.setTimeout(this.#keepAliveMs + KEEP_ALIVE_BUFFER_MS)
    }
    this.#registry.observer?.onAnswered(connection)
  }
}

function resume(connection: Connection, resumption: Resumption, request: IncomingMessage): void {
  connection.resumption = undefined
  setResumption(request, resumption)
}
