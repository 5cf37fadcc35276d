import { createServer, type IncomingMessage, type RequestListener, type Server, ServerResponse } from 'node:http'
import { type ListenOptions, Server as NetServer, Socket } from 'node:net'
import { getSystemErrorName } from 'node:util'
import { endWith } from '../http/errors.ts'
import { timedOut, unlessServed } from './time-outs.ts'

/** One client connection as the worker knows it. */
export interface Connection {
  readonly socket: Socket
  /** Requests received and not answered yet. */
  busy: number
  /** Requests received here. */
  requests: number
  /** The last request received: only its answer may say `Connection: close`. */
  lastRequest?: IncomingMessage | undefined
  /** When the last answer was complete, or when the connection came, in ms of `performance.now()`. */
  idleSince: number
  /** It came from another worker and has sent nothing here yet. */
  adopted: boolean
  /** It came with bytes of the client's that were read elsewhere; the socket does not count them. */
  headed: boolean
  /** No longer HTTP/1: it cannot change hands. */
  upgraded: boolean
  /** It cannot be used any more: on its way to another worker, or FIN is sent. */
  leaving: boolean
  /** How it ends, for the ledger of a drain; the client closed it where nothing else is said. */
  end: 'handedOver' | 'answered' | 'idle' | 'left' | 'cut'
}

/** Is told what happens to connections. */
export interface Watcher {
  opened(connection: Connection): void
  /** An answer is complete. */
  quiet(connection: Connection): void
  closed(connection: Connection): void
}

export interface ServerOptions {
  keepAliveMs: number
  headersMs: number
  requestMs: number
  headerBytes: number
  /** 0 is no limit. */
  maxConnections: number
  /** Of one connection; 0 is no limit. */
  maxRequests: number
}

/** Node's own TCP handle, the part of it that a connection needs to change hands. */
export interface TcpHandle {
  readStop(): void
  readStart(): void
  readonly writeQueueSize: number
}

/** Node's own handle of a bound socket. */
export interface PortHandle {
  onconnection: (status: number, handle: TcpHandle | undefined) => void
  /** Zero, or a negative errno. */
  listen(backlog: number): number
  close(): void
}

export const handleOf = (socket: Socket): TcpHandle | null => (socket as Socket & { _handle: TcpHandle | null })._handle

const KEPT = Symbol('kept')
/** An idle connection is kept so much longer than its client was told, who may use it to the last moment. In ms. */
export const KEPT_LONGER_MS = 1000

/** Whether the connection is kept is decided when the header block is written, not when the request came. */
function responseClass(isLast: (request: IncomingMessage) => boolean): typeof ServerResponse {
  class Response<Request extends IncomingMessage = IncomingMessage> extends ServerResponse<Request> {
    declare [KEPT]: boolean
  }
  Object.defineProperty(Response.prototype, 'shouldKeepAlive', {
    get(this: Response) {
      return this[KEPT] && !isLast(this.req)
    },
    set(this: Response, kept: boolean) {
      this[KEPT] = kept
    }
  })
  return Response
}

const BACKLOG = 1024

/** The HTTP server of a worker and every connection it has. */
export class Connections {
  readonly server: Server
  readonly all = new Set<Connection>()
  /** Those whose client waits for the answer to a command of the admin plane: a drain does not wait for them. */
  readonly onErrand = new Set<Connection>()
  readonly #keepAliveMs: number
  readonly #maxConnections: number
  readonly #maxRequests: number
  readonly #bySocket = new WeakMap<Socket, Connection>()
  #requests = 0
  /** The connection that comes now was let in by another worker. */
  #handedOver = false
  #port: PortHandle | undefined
  /** Every answer that is the last on its connection says `Connection: close`. */
  #closing = false
  watcher: Watcher | undefined

  constructor(options: ServerOptions, handler: RequestListener) {
    this.#keepAliveMs = options.keepAliveMs
    this.#maxConnections = options.maxConnections || Number.POSITIVE_INFINITY
    this.#maxRequests = options.maxRequests || Number.POSITIVE_INFINITY
    this.server = createServer(
      {
        keepAliveTimeout: options.keepAliveMs,
        headersTimeout: options.headersMs,
        requestTimeout: options.requestMs,
        connectionsCheckingInterval: 500,
        maxHeaderSize: options.headerBytes,
        // The app refuses what has none, with an answer like every other.
        requireHostHeader: false,
        ServerResponse: responseClass((request) => this.#endsWith(request))
      },
      (request, response) => {
        if (!this.#received(request, response)) return
        // One turn later, so that a pipelined burst is known whole before its first answer.
        if (this.#isEnding(request.socket)) setImmediate(handler, request, response)
        else handler(request, response)
      }
    )
    // Fields past a number of node's own would be dropped without a word; the app counts them.
    this.server.maxHeadersCount = 0
    this.server.on('timeout', (socket: Socket) => timedOut(socket, this.#bySocket.get(socket)))
    this.server.prependListener('connection', (socket: Socket) => this.#opened(socket))
  }

  /** Without a port of its own: connections come from the primary. */
  startInjected(): void {
    this.#start()
    // http.Server checks header and request time-outs only once it listens.
    this.server.emit('listening')
  }

  /** On a socket that other processes accept on too: none of them can close it for the others. */
  startShared(port: PortHandle, onRefused: (status: number) => void): void {
    port.onconnection = (status, handle) => {
      if (handle) this.adopt(handle)
      else onRefused(status)
    }
    const status = port.listen(BACKLOG)
    if (status !== 0) throw Object.assign(new Error('listen'), { code: getSystemErrorName(status) })
    this.#port = port
    this.startInjected()
  }

  /** On a socket of this worker's own, beside those of the others on the same port. */
  startReusePort(port: number, host: string): Promise<void> {
    this.#start()
    return new Promise((resolve, reject) => {
      this.server.once('error', reject)
      this.server.listen({ port, host, backlog: BACKLOG, exclusive: true, reusePort: true } as ListenOptions, () => {
        this.server.off('error', reject)
        resolve()
      })
    })
  }

  /** Connections open now, requests not answered yet, and requests received since the start. */
  count(): { connections: number; inFlight: number; requests: number } {
    let inFlight = 0
    for (const { busy } of this.all) inFlight += busy
    return { connections: this.all.size, inFlight, requests: this.#requests }
  }

  /** The client of this socket waits for the primary. @returns to be called when it does no longer */
  errand(socket: Socket): () => void {
    const connection = this.#bySocket.get(socket)
    if (!connection) return () => {}
    this.onErrand.add(connection)
    this.watcher?.quiet(connection)
    return () => void this.onErrand.delete(connection)
  }

  /** From now on the last answer on each connection says that it is the last. */
  sayClose(): void {
    this.#closing = true
  }

  /** Takes no more from a port; what is open stays open, with its time-outs. `http.Server.close` would end idle ones. */
  refuseNew(): void {
    if (this.server.listening) NetServer.prototype.close.call(this.server)
    // After the loop has accepted all there was: the last process that closes the socket resets what waits at it.
    setImmediate(() => this.#port?.close())
  }

  #start(): void {
    // A listener of ours alone would make node take every Upgrade header for an upgrade.
    if (this.server.listenerCount('upgrade') > 0) {
      this.server.prependListener('upgrade', (_request, socket) => {
        const connection = this.#bySocket.get(socket as Socket)
        if (connection) connection.upgraded = true
      })
    }
  }

  /**
   * Serves a connection that was accepted elsewhere.
   * @param idleMs what is left of its keep-alive time, undefined for a fresh one
   * @param head what was read of it already, in base64
   */
  adopt(handle: object, idleMs?: number, head?: string): void {
    const options = { handle, allowHalfOpen: true, readable: true, writable: true }
    const socket = new Socket(options as ConstructorParameters<typeof Socket>[0])
    socket.setNoDelay(true)
    ;(socket as Socket & { server: Server }).server = this.server
    // Before node's HTTP parser takes to the handle itself: it reads what is in front of it first.
    if (head) socket.unshift(Buffer.from(head, 'base64'))
    this.#handedOver = idleMs !== undefined
    this.server.emit('connection', socket)
    this.#handedOver = false
    const connection = this.#bySocket.get(socket)
    if (connection && head) connection.headed = true
    if (idleMs === undefined || !connection) return
    connection.adopted = true
    connection.idleSince = performance.now() - (this.#keepAliveMs + KEPT_LONGER_MS - idleMs)
    socket.setTimeout(idleMs)
  }

  /**
   * An adopted connection that is still between two requests. Node counts its header time-out from the moment it came
   * and would answer 408 to a client that asked nothing; its keep-alive time is what counts.
   */
  isIdleAdopted(socket: Socket): boolean {
    const connection = this.#bySocket.get(socket)
    return connection?.adopted === true && socket.bytesRead === 0
  }

  /** Calls back when what has arrived is read, unless that made a request whole. */
  unlessServed(socket: Socket, end: () => void): void {
    unlessServed(this.#bySocket.get(socket), end)
  }

  /** What is left of a connection's keep-alive time, in ms; never so little that it ends on the way. */
  idleLeft(connection: Connection): number {
    return Math.max(200, this.#keepAliveMs + KEPT_LONGER_MS - (performance.now() - connection.idleSince))
  }

  /** Connections that are between two requests, nothing half read and nothing half written. */
  idle(): Connection[] {
    const parserIdle = this.#parserIdle()
    return [...this.all].filter(
      (connection) =>
        this.isQuiet(connection) &&
        (parserIdle.has(connection.socket) || (connection.socket.bytesRead === 0 && !connection.headed))
    )
  }

  isQuiet({ busy, leaving, upgraded, socket }: Connection): boolean {
    const handle = handleOf(socket)
    return (
      busy === 0 &&
      !leaving &&
      !upgraded &&
      !socket.destroyed &&
      !socket.writableEnded &&
      handle !== null &&
      socket.readableLength === 0 &&
      socket.writableLength === 0 &&
      handle.writeQueueSize === 0
    )
  }

  /** Which sockets the HTTP parser finds idle: `closeIdleConnections()` names them, with `destroy` caught for the moment. */
  #parserIdle(): Set<Socket> {
    const named = new Set<Socket>()
    for (const { socket } of this.all) {
      socket.destroy = function (this: Socket) {
        named.add(this)
        return this
      }
    }
    try {
      this.server.closeIdleConnections()
    } finally {
      for (const { socket } of this.all) Reflect.deleteProperty(socket, 'destroy')
    }
    return named
  }

  #isEnding(socket: Socket): boolean {
    return this.#closing || (this.#bySocket.get(socket)?.requests ?? 0) >= this.#maxRequests
  }

  /** The connection is to end, and does with the answer to this request, unless another one came behind it. */
  #endsWith(request: IncomingMessage): boolean {
    if (!this.#isEnding(request.socket)) return false
    const connection = this.#bySocket.get(request.socket)
    const last = connection === undefined || connection.lastRequest === request
    if (connection && last) connection.end = 'answered'
    return last
  }

  #opened(socket: Socket): void {
    if (this.all.size >= this.#maxConnections && !this.#handedOver) {
      endWith(socket, 503, 'TOO_MANY_CONNECTIONS', 'There are too many connections', { 'retry-after': '1' })
      return
    }
    const connection: Connection = {
      socket,
      busy: 0,
      requests: 0,
      idleSince: performance.now(),
      adopted: false,
      headed: false,
      upgraded: false,
      leaving: false,
      end: 'left'
    }
    this.all.add(connection)
    this.#bySocket.set(socket, connection)
    this.watcher?.opened(connection)
    socket.once('close', () => {
      this.all.delete(connection)
      this.onErrand.delete(connection)
      this.watcher?.closed(connection)
    })
  }

  /** @returns whether it is to be answered: not on a connection that was refused */
  #received(request: IncomingMessage, response: ServerResponse): boolean {
    const connection = this.#bySocket.get(request.socket)
    if (!connection) return !request.socket.writableEnded
    this.#requests++
    connection.requests++
    connection.busy++
    connection.lastRequest = request
    response.once('close', () => {
      connection.busy--
      connection.idleSince = performance.now()
      // An idle connection keeps nothing of its last request.
      if (connection.busy === 0) connection.lastRequest = undefined
      if (connection.busy === 0 && !connection.leaving) request.socket.setTimeout(this.#keepAliveMs + KEPT_LONGER_MS)
      this.watcher?.quiet(connection)
    })
    return true
  }
}
