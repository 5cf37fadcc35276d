import type { IncomingMessage, RequestListener, Server } from 'node:http'
import type { ServerConnections } from '../../http/client-errors.ts'
import type { GetState } from '../../http/transferable.ts'
import { idleSockets } from '../../node-internals/http-server.ts'
import { createHttp1, type Http1Options } from '../protocols/http1.ts'
import { createSecureListener, registerConnections } from '../protocols/listeners.ts'
import type { Tls, TlsOptions } from '../protocols/tls.ts'
import { EventStreamExchange, isResumableRequest } from '../transfer/event-stream-exchange.ts'
import { WebSocketExchange } from '../transfer/web-socket-exchange.ts'
import { Acceptor, type AcceptorOptions } from './acceptor.ts'
import type { AdmissionOptions } from './admission.ts'
import {
  type Connection,
  connectionOf,
  currentResponseOf,
  incompleteRequestOf,
  isQuiescent,
  KEEP_ALIVE_BUFFER_MS,
  resumeReading
} from './connection.ts'
import { ConnectionRegistry } from './connection-registry.ts'
import { RequestTracker } from './request-tracker.ts'
import { afterPendingInput } from './timeouts.ts'

export interface ServerOptions extends AdmissionOptions, AcceptorOptions, Http1Options {
  /** Requests of one connection; 0 means no limit. */
  maxRequests: number
}

/** What TLS needs beside {@link ServerOptions}. */
export type Credentials = Omit<TlsOptions, 'handshakeMs'>

/** A transferred connection keeps at least this much of its keep-alive time, so that it does not end on the way. In ms. */
const MIN_TRANSFERRED_IDLE_MS = 200

/** This many connections are searched for idle ones in about 10 µs, so that every response may trigger a search. */
export const CHEAP_CHECK_CONNECTIONS = 256

/** The HTTP servers of a worker and all its connections. */
export class Connections {
  readonly registry: ConnectionRegistry
  readonly acceptor: Acceptor
  readonly requests: RequestTracker
  /** Speaks HTTP/1.1. */
  readonly server: Server
  /** Called when the app's state of a WebSocket cannot be sent to another worker. */
  onStateProblem: ((why: string, request: IncomingMessage) => void) | undefined
  readonly #tls: Tls | undefined
  readonly #keepAliveMs: number

  /** @param credentials with them, connections speak TLS, and HTTP/2 when the client chooses it */
  constructor(options: ServerOptions, credentials?: Credentials) {
    const registry = new ConnectionRegistry(options)
    const requests = new RequestTracker(registry, options)
    const server = createHttp1(
      options,
      (response) => requests.isLast(response),
      (request, response) => requests.receive(request, response)
    )
    this.registry = registry
    this.requests = requests
    this.server = server
    this.#keepAliveMs = options.keepAliveMs
    if (credentials) {
      const { headersMs, headerBytes } = options
      const secured = createSecureListener(server, registry, requests, {
        ...credentials,
        handshakeMs: headersMs,
        headerBytes
      })
      this.#tls = secured.tls
      this.acceptor = new Acceptor(server, secured.listener, registry, options)
    } else {
      registerConnections(server, registry)
      this.acceptor = new Acceptor(server, server, registry, options)
    }
  }

  /** Sets the app that answers requests. @returns the HTTP/1.1 server, for Fastify's `serverFactory` */
  serve(handler: RequestListener): Server {
    this.requests.handler = handler
    return this.server
  }

  /** @returns what the app may know of its connections */
  forApp(acceptPauses: () => number): ServerConnections {
    const { registry } = this
    return {
      isIdleTransferred: (socket) => registry.isIdleTransferred(socket),
      afterPendingInput: (socket, end) => afterPendingInput(connectionOf(socket), end),
      currentResponse: (socket) => {
        const connection = connectionOf(socket)
        return connection && currentResponseOf(connection)
      },
      incompleteRequest: (socket) => {
        const connection = connectionOf(socket)
        return connection && incompleteRequestOf(connection)
      },
      acceptPauses,
      isAdminSocket: (socket) => registry.isAdmin(socket),
      refusalCounts: () => registry.refused
    }
  }

  /** Answers 408 to a request that is over the limit of its route, as Node does for REQUEST_TIMEOUT, and ends its connection. */
  refuseLate({ socket }: Connection): void {
    const error = Object.assign(new Error('Request timeout'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' })
    this.server.emit('clientError', error, socket)
  }

  /** Open connections, requests not answered yet, and requests received since the start. */
  count(): { connections: number; inFlight: number; requests: number } {
    let inFlight = 0
    for (const { busy } of this.registry.all) inFlight += busy
    return { connections: this.registry.all.size, inFlight, requests: this.requests.total }
  }

  /** Replaces the keys of TLS session tickets. Clients with tickets of older keys make a full handshake. */
  setTicketKeys(keys: Buffer): void {
    this.#tls?.setTicketKeys(keys)
  }

  /** Lets clients of new connections choose HTTP/1.1 only. */
  disableHttp2(): void {
    this.#tls?.disableHttp2()
  }

  /** Announces the end of every connection: in its last response, or at once for HTTP/2. */
  announceClose(): void {
    this.requests.closing = true
    for (const { http2 } of this.registry.all) http2?.close()
  }

  /** Lets what is in progress with this request move to another worker, if it ever can. See `transferable`. */
  offer(request: IncomingMessage, getState?: GetState): void {
    const connection = connectionOf(request.socket)
    // The keys of a TLS connection exist only in this process.
    if (!connection || connection.raw !== connection.socket || connection.takenBack || this.requests.closing) return
    if (connection.upgraded) {
      const onStateProblem = (why: string) => this.onStateProblem?.(why, request)
      connection.exchange = new WebSocketExchange(connection, request, { getState, onStateProblem })
      return
    }
    const response = connection.responses.find(({ req }) => req === request)
    if (!response || !isResumableRequest(request)) return
    const exchange = new EventStreamExchange(connection, response)
    connection.exchange = exchange
    response.on('close', () => {
      if (connection.exchange === exchange) connection.exchange = undefined
    })
  }

  /** @returns the rest of the keep-alive time of a connection that is to be transferred, in ms */
  remainingIdleMs(connection: Connection): number {
    const idleMs = performance.now() - connection.idleSince
    return Math.max(MIN_TRANSFERRED_IDLE_MS, this.#keepAliveMs + KEEP_ALIVE_BUFFER_MS - idleMs)
  }

  /**
   * Returns the connections between two requests: no request is half received, and no response half sent. A connection that
   * has half a request is read again, so that the rest of the request comes.
   */
  idle(): Connection[] {
    const { all } = this.registry
    const sockets = [...all].map(({ socket }) => socket)
    const parserIdle = idleSockets(this.server, sockets)
    return [...all].filter((connection) => {
      if (!isQuiescent(connection)) return false
      const { http2, socket, skippedBytes, hasPrereadBytes } = connection
      const isIdle =
        http2 !== undefined || parserIdle.has(socket) || (socket.bytesRead === skippedBytes && !hasPrereadBytes)
      if (!isIdle) resumeReading(connection)
      return isIdle
    })
  }
}
