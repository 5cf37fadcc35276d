import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'
import { createServer, Server as NetServer, Socket } from 'node:net'
import { getSystemErrorName } from 'node:util'
import { sendFinalAnswer } from '../../http/final-answer.ts'
import type { Origin } from '../../ipc/messages.ts'
import type { ListeningHandle } from '../../net/accept-gate.ts'
import { inRanges } from '../../net/address-ranges.ts'
import { watchHalfClosed } from '../protocols/half-closed.ts'
import { createHttp1, idleOf } from '../protocols/http1.ts'
import { Http2 } from '../protocols/http2.ts'
import { takeProxyHeader } from '../protocols/proxy-header.ts'
import { createTls, type TlsOptions } from '../protocols/tls.ts'
import { Admission, type AdmissionOptions, type Refused } from './admission.ts'
import {
  type Connection,
  connectionOf,
  fresh,
  isQuiet,
  KEPT_LONGER_MS,
  type PortHandle,
  pauseReading,
  resumeReading,
  setConnection,
  type Watcher
} from './connection.ts'
import { inheritPeer, isReset, isUnixHandle, LOCAL_PEER, setPeer } from './peer-reset.ts'
import { bindReusePort } from './reuse-port.ts'
import { afterPendingInput, timedOut } from './timeouts.ts'

/** What the primary says of a connection that it passes on. */
export interface Arrival {
  /** What is left of its keep-alive time, in ms; undefined for a fresh one. */
  idleMs?: number | undefined
  /** What was read of it already, in base64. */
  head?: string | undefined
  origin?: Origin | undefined
}

export interface ServerOptions extends AdmissionOptions {
  keepAliveMs: number
  headersMs: number
  requestMs: number
  headerBytes: number
  /** Addresses and CIDR ranges of proxies whose connections begin with a PROXY header. */
  proxyProtocol?: readonly string[] | undefined
  /** Of one connection; 0 is no limit. */
  maxRequests: number
}

/** What TLS needs beside them. */
export type Credentials = Omit<TlsOptions, 'handshakeMs'>

const BACKLOG = 1024
/** Pipelined requests of one connection that are not answered: with so many, no more is read until half of them are. */
const MAX_UNANSWERED = 100

/** The HTTP servers of a worker and every connection it has. */
export class Connections {
  /** Speaks HTTP/1.1. */
  readonly server: Server
  /** Where connections come in: the same, but with TLS. */
  readonly #listener: NetServer
  /** What listens, where this worker does: the same, but with PROXY_PROTOCOL. */
  #listening: NetServer
  readonly all = new Set<Connection>()
  /** Connections of proxies whose PROXY header has not come yet: they are in no other list. */
  readonly awaited = new Set<Socket>()
  /** Is called with +1 and -1 when a connection has come and gone. */
  onChange: ((change: 1 | -1) => void) | undefined
  /** A connection was closed for want of a right PROXY header. */
  onBadProxyHeader: ((from: string | undefined, why: string) => void) | undefined
  /** Those whose client waits for the answer to a command of the admin plane: a drain does not wait for them. */
  readonly awaitingAdminResponse = new Set<Connection>()
  readonly #keepAliveMs: number
  /** Node itself keeps an idle connection longer than its client was told: since 22.19 and 24.6. */
  readonly #nodeKeepsLonger: boolean
  readonly #admission: Admission
  readonly #maxRequests: number
  /**
   * A drain is to transfer connections: one that pauses is read again only when {@link idle} finds it in the middle of a
   * request.
   */
  holdsPipelines = false
  readonly #headersMs: number
  readonly #proxied: boolean
  readonly #sendsProxyHeader: (address: string | undefined) => boolean
  #requests = 0
  /** What is known of the connection that comes now; undefined for one that this worker has accepted itself. */
  #arriving: Arrival | undefined
  #port: PortHandle | undefined
  #tls: ReturnType<typeof createTls> | undefined
  /** Every answer that is the last on its connection says `Connection: close`. */
  #closing = false
  watcher: Watcher | undefined

  /** @param credentials with them it speaks TLS, and HTTP/2 to those who ask for it */
  constructor(options: ServerOptions, handler: RequestListener, credentials?: Credentials) {
    this.#keepAliveMs = options.keepAliveMs
    this.#admission = new Admission(options)
    this.#headersMs = options.headersMs
    this.#proxied = (options.proxyProtocol?.length ?? 0) > 0
    this.#sendsProxyHeader = inRanges(options.proxyProtocol ?? [])
    this.#maxRequests = options.maxRequests || Number.POSITIVE_INFINITY
    this.server = createHttp1(
      options,
      (request) => this.#endsWith(request),
      (request, response) => {
        const begin = () => {
          // One turn later, so that a pipelined burst is known whole before its first answer.
          if (this.#isEnding(request.socket)) setImmediate(handler, request, response)
          else handler(request, response)
        }
        this.#received(request, response, begin)
      }
    )
    this.server.on('timeout', (socket: Socket) => timedOut(socket, connectionOf(socket)))
    this.#nodeKeepsLonger = 'keepAliveTimeoutBuffer' in this.server
    if (credentials) this.#listener = this.#secureListener(options, handler, credentials)
    else {
      this.#listener = this.server.prependListener('connection', (socket: Socket) => {
        if (this.#opened(socket)) watchHalfClosed(socket)
      })
    }
    this.#listening = this.#listener
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
  async startReusePort(port: number, host: string): Promise<void> {
    this.#start()
    // Connections of proxies are not for HTTP, or TLS, before their header is taken off.
    if (this.#proxied) {
      const options = { allowHalfOpen: true, noDelay: true }
      this.#listening = createServer(options, (socket) => this.#arrived(socket, {}))
    }
    const listening = this.#listening
    const handle = await bindReusePort(port, host)
    await new Promise<void>((resolve, reject) => {
      listening.once('error', reject)
      listening.listen(handle, BACKLOG, () => {
        listening.off('error', reject)
        if (listening !== this.server) this.server.emit('listening')
        resolve()
      })
    })
  }

  /** Connections that have a file descriptor here. */
  get open(): number {
    return this.all.size + this.awaited.size
  }

  /** The handle that accepts here, if any. */
  get listeningHandle(): ListeningHandle | null {
    const { _handle } = this.#listening as NetServer & { _handle: ListeningHandle | null }
    return this.#port ?? _handle
  }

  /** Connections refused since the start, by reason. */
  get refused(): Readonly<Record<Refused, number>> {
    return this.#admission.refused
  }

  /** Connections open now, requests not answered yet, and requests received since the start. */
  count(): { connections: number; inFlight: number; requests: number } {
    let inFlight = 0
    for (const { busy } of this.all) inFlight += busy
    return { connections: this.all.size, inFlight, requests: this.#requests }
  }

  /** The client of this socket waits for the primary. @returns to be called when it does no longer */
  holdForAdminRequest(socket: Socket): () => void {
    const connection = connectionOf(socket)
    if (!connection) return () => {}
    this.awaitingAdminResponse.add(connection)
    this.watcher?.quiet(connection)
    return () => void this.awaitingAdminResponse.delete(connection)
  }

  /** Tickets that were made with other keys do not resume a TLS session any more: their clients make a full handshake. */
  setTicketKeys(keys: Buffer): void {
    this.#tls?.setTicketKeys(keys)
  }

  /** From now on each connection learns with its last answer that it is the last; those of HTTP/2 at once. */
  announceClose(): void {
    this.#closing = true
    for (const { http2 } of this.all) http2?.close()
  }

  /** Takes no more from a port; what is open stays open, with its time-outs. `http.Server.close` would end idle ones. */
  refuseNew(): void {
    if (this.#listening.listening) NetServer.prototype.close.call(this.#listening)
    // After the loop has accepted all there was: the last process that closes the socket resets what waits at it.
    setImmediate(() => this.#port?.close())
  }

  #start(): void {
    // A listener of ours alone would make node take every Upgrade header for an upgrade.
    if (this.server.listenerCount('upgrade') > 0) {
      this.server.prependListener('upgrade', (_request, socket) => {
        const connection = connectionOf(socket as Socket)
        if (connection) connection.upgraded = true
      })
    }
  }

  /** Serves a connection that was accepted elsewhere. */
  adopt(handle: object, arrival: Arrival = {}): void {
    const { head } = arrival
    const options = { handle, allowHalfOpen: true, readable: true, writable: true }
    const socket = new Socket(options as ConstructorParameters<typeof Socket>[0])
    socket.setNoDelay(true)
    if (isUnixHandle(handle)) setPeer(socket, LOCAL_PEER)
    // Before node's HTTP parser takes to the handle itself: it reads what is in front of it first.
    if (head) socket.unshift(Buffer.from(head, 'base64'))
    this.#arrived(socket, arrival)
  }

  /** A fresh connection of a proxy is a connection of HTTP only behind its PROXY header. */
  #arrived(socket: Socket, arrival: Arrival): void {
    const { idleMs, origin, head } = arrival
    ;(socket as Socket & { server: Server }).server = this.server
    const isFresh = idleMs === undefined && !origin?.admin
    if (!this.#proxied || !isFresh || !this.#sendsProxyHeader(socket.remoteAddress)) {
      this.#entered(socket, arrival, Boolean(head))
      return
    }
    this.awaited.add(socket)
    takeProxyHeader(socket, this.#headersMs, (header) => {
      this.awaited.delete(socket)
      if (header instanceof Error) {
        this.#admission.refused['proxy-header']++
        this.onBadProxyHeader?.(socket.remoteAddress, header.message)
        // Nothing that is said to it could be understood: it does not speak what it is expected to speak.
        socket.on('error', () => {}).destroy()
        return
      }
      const { client } = header
      this.#entered(socket, client ? { origin: { client } } : {}, !header.isLast)
    })
  }

  /** @param headed the first bytes of HTTP are in the socket already */
  #entered(socket: Socket, arrival: Arrival, headed: boolean): void {
    const { idleMs, origin } = arrival
    if (origin?.client) setPeer(socket, origin.client)
    // A TLS socket counts its own bytes.
    const skipped = this.#listener === this.server ? socket.bytesRead : 0
    this.#arriving = arrival
    this.#listener.emit('connection', socket)
    this.#arriving = undefined
    const connection = connectionOf(socket)
    if (!connection) return
    connection.hasPrereadBytes = headed
    connection.skipped = skipped
    if (idleMs === undefined) return
    connection.transferred = true
    connection.idleSince = performance.now() - (this.#keepAliveMs + KEPT_LONGER_MS - idleMs)
    socket.setTimeout(idleMs)
  }

  /** Whether it came in at ADMIN_PORT. */
  isAdmin(socket: Socket): boolean {
    return connectionOf(socket)?.origin?.admin === true
  }

  /**
   * An adopted connection that is still between two requests. Node counts its header time-out from the moment it came
   * and would answer 408 to a client that asked nothing; its keep-alive time is what counts.
   */
  isIdleAdopted(socket: Socket): boolean {
    const connection = connectionOf(socket)
    return connection?.transferred === true && socket.bytesRead === 0
  }

  /** Calls back when what has arrived is read, unless that made a request whole. */
  afterPendingInput(socket: Socket, end: () => void): void {
    afterPendingInput(connectionOf(socket), end)
  }

  /** What is left of a connection's keep-alive time, in ms; never so little that it ends on the way. */
  idleLeft(connection: Connection): number {
    return Math.max(200, this.#keepAliveMs + KEPT_LONGER_MS - (performance.now() - connection.idleSince))
  }

  /**
   * Connections that are between two requests, nothing half read and nothing half written. Where half a request was read
   * before a pause, the rest of it is read now.
   */
  idle(): Connection[] {
    const parserIdle = idleOf(this.server, this.all)
    return [...this.all].filter((connection) => {
      if (!isQuiet(connection)) return false
      const isIdle =
        connection.http2 !== undefined ||
        parserIdle.has(connection.socket) ||
        (connection.socket.bytesRead === connection.skipped && !connection.hasPrereadBytes)
      if (!isIdle) resumeReading(connection)
      return isIdle
    })
  }

  #isEnding(socket: Socket): boolean {
    return this.#closing || (connectionOf(socket)?.requests ?? 0) >= this.#maxRequests
  }

  /** The connection is to end, or its client sends no more: it ends with the answer to this request, unless another one came behind it. */
  #endsWith(request: IncomingMessage): boolean {
    if (!this.#isEnding(request.socket) && !request.socket.readableEnded) return false
    const connection = connectionOf(request.socket)
    const last = connection === undefined || connection.lastRequest === request
    if (connection && last) connection.end = 'answered'
    return last
  }

  /** @returns undefined where there are too many */
  #opened(socket: Socket): Connection | undefined {
    const { idleMs, origin } = this.#arriving ?? {}
    if (!origin?.admin) {
      // One that another worker had let in is never refused.
      const refused = idleMs === undefined ? this.#admission.check(socket, this.all.size) : undefined
      if (refused) return this.#refuse(socket, refused)
      this.#admission.enter(socket)
    }
    const connection = fresh(socket)
    connection.origin = origin
    this.all.add(connection)
    this.onChange?.(1)
    setConnection(socket, connection)
    this.watcher?.opened(connection)
    socket.on('close', () => {
      this.all.delete(connection)
      this.awaitingAdminResponse.delete(connection)
      this.watcher?.closed(connection)
      this.onChange?.(-1)
    })
    return connection
  }

  #refuse(socket: Socket, refused: Refused): undefined {
    // A handshake, only to say so, is what would be too much.
    if (this.#listener !== this.server) return void socket.destroy()
    const [status, whose] = refused === 'worker' ? ([503, ''] as const) : ([429, ' of this address'] as const)
    const message = `There are too many connections${whose}`
    sendFinalAnswer(socket, status, 'TOO_MANY_CONNECTIONS', message, { 'retry-after': '1' })
  }

  /** Connections count from the start; to HTTP they come when their handshake is done. */
  #secureListener(options: ServerOptions, handler: RequestListener, credentials: Credentials): NetServer {
    const http2 = new Http2(options.headerBytes, handler, {
      received: () => void this.#requests++,
      quiet: (connection) => this.watcher?.quiet(connection),
      isEnding: ({ raw }) => this.#isEnding(raw)
    })
    http2.on('checkExpectation', (request, response) => this.server.emit('checkExpectation', request, response))
    const tls = createTls({ ...credentials, handshakeMs: options.headersMs }, (socket, raw) => {
      const connection = connectionOf(raw)
      if (!connection) return
      connection.socket = socket
      setConnection(socket, connection)
      inheritPeer(socket, raw)
      if (isReset(socket)) return void socket.destroy()
      if (socket.alpnProtocol === 'h2') http2.open(connection)
      else {
        watchHalfClosed(socket)
        this.server.emit('connection', socket)
      }
    })
    this.#tls = tls
    return createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      if (this.#opened(socket)) tls.begin(socket)
    })
  }

  /**
   * Counts a request and begins it, or lets it wait while 100 others of its connection are unanswered: one read of 64 KiB can
   * contain more than a thousand. The app gets no request of a connection that was refused or that its client has reset.
   */
  #received(request: IncomingMessage, response: ServerResponse, begin: () => void): void {
    const connection = connectionOf(request.socket)
    if (!connection) {
      // A connection that was refused gets no other response.
      if (!request.socket.writableEnded) begin()
      return
    }
    if (isReset(request.socket)) {
      request.socket.destroy()
      return
    }
    this.#requests++
    connection.requests++
    connection.busy++
    connection.lastRequest = request
    if (connection.busy >= MAX_UNANSWERED) pauseReading(connection)
    // It is emitted once.
    response.on('close', () => {
      connection.busy--
      connection.idleSince = performance.now()
      connection.waiting.shift()?.()
      if (connection.paused && !this.holdsPipelines && connection.busy <= MAX_UNANSWERED / 2) resumeReading(connection)
      if (connection.busy === 0) {
        // An idle connection keeps nothing of its last request.
        connection.lastRequest = undefined
        if (!this.#nodeKeepsLonger && !connection.leaving)
          connection.socket.setTimeout(this.#keepAliveMs + KEPT_LONGER_MS)
      }
      this.watcher?.quiet(connection)
    })
    if (connection.busy <= MAX_UNANSWERED) begin()
    else connection.waiting.push(begin)
  }
}
