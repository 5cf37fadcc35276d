import type { Server } from 'node:http'
import { createServer, Server as NetServer, type Socket } from 'node:net'
import { AcceptedConnections } from '../../net/accepted-connections.ts'
import { inRanges } from '../../net/address-ranges.ts'
import { startTimeouts } from '../../node-internals/http-server.ts'
import {
  type AcceptingHandle,
  acceptHandles,
  type ListeningHandle,
  listeningHandleOf,
  listenOnHandle
} from '../../node-internals/listening-handle.ts'
import { listenForReal } from '../../node-internals/pretended-listening.ts'
import { isUnixHandle, socketFromHandle } from '../../node-internals/tcp-handle.ts'
import { readProxyHeader } from '../protocols/proxy-header.ts'
import { markUpgrades } from '../protocols/upgrades.ts'
import { resumeConnection } from '../transfer/resume-connection.ts'
import { connectionOf, KEEP_ALIVE_BUFFER_MS } from './connection.ts'
import { type ConnectionDetails, type ConnectionRegistry, setDetails } from './connection-registry.ts'
import { LOCAL_PEER, setPeer } from './peer-address.ts'
import { bindReusePort } from './reuse-port.ts'

export interface AcceptorOptions {
  keepAliveMs: number
  headersMs: number
  /** Addresses and CIDR ranges of proxies whose connections begin with a PROXY header. */
  proxyProtocol?: readonly string[] | undefined
  /** Makes the socket of a bare handle; by default one of node:net. */
  socketOf?: (handle: object) => Socket
}

const BACKLOG = 1024

/** Takes connections, from the primary or from a port, and gives them to HTTP or TLS. */
export class Acceptor {
  /** Called when a connection was closed because it had no valid PROXY header. */
  onBadProxyHeader: ((from: string | undefined, reason: string) => void) | undefined
  readonly #http1: Server
  /** Gets every connection: the HTTP/1.1 server, or TLS. */
  readonly #listener: NetServer
  readonly #registry: ConnectionRegistry
  readonly #options: AcceptorOptions
  readonly #usesProxyProtocol: boolean
  readonly #sendsProxyHeader: (address: string | undefined) => boolean
  /** The server that listens on a port of this worker's own (`reuseport`). */
  #ownServer: NetServer | undefined
  /** The handle of the port that all workers share (`shared`). */
  #sharedHandle: AcceptingHandle | undefined
  /** What was accepted from it. */
  readonly #shared = new AcceptedConnections()

  constructor(http1: Server, listener: NetServer, registry: ConnectionRegistry, options: AcceptorOptions) {
    this.#http1 = http1
    this.#listener = listener
    this.#registry = registry
    this.#options = options
    this.#usesProxyProtocol = (options.proxyProtocol?.length ?? 0) > 0
    this.#sendsProxyHeader = inRanges(options.proxyProtocol ?? [])
  }

  /** Starts without a port: connections come from the primary. */
  startInjected(): void {
    markUpgrades(this.#http1)
    startTimeouts(this.#http1)
  }

  /**
   * Starts to accept on a socket that other processes accept on too.
   * @param onError gets a negative errno when a connection could not be accepted
   * @throws Error with a `code`
   */
  startShared(handle: AcceptingHandle, onError: (status: number) => void): void {
    acceptHandles(
      handle,
      this.#shared.counted((accepted: object) => this.accept(accepted)),
      onError
    )
    listenOnHandle(handle, BACKLOG)
    this.#sharedHandle = handle
    this.startInjected()
  }

  /** Starts to accept on a socket of this worker's own, beside those of other workers on the same port. */
  async startReusePort(port: number, host: string): Promise<void> {
    markUpgrades(this.#http1)
    const server = this.#usesProxyProtocol ? this.#createProxiedServer() : this.#listener
    this.#ownServer = server
    const handle = await bindReusePort(port, host)
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      listenForReal(server, handle, BACKLOG, () => {
        server.off('error', reject)
        resolve()
      })
    })
    if (server !== this.#http1) startTimeouts(this.#http1)
  }

  /** The handle that accepts in this process, if any. */
  get listeningHandle(): ListeningHandle | null {
    return this.#sharedHandle ?? (this.#ownServer ? listeningHandleOf(this.#ownServer) : null)
  }

  /**
   * Stops accepting. Open connections stay open with their timeouts; `http.Server.close` would close idle ones.
   * @param portCloses no other process accepts what waits at a shared port: it is accepted first
   */
  async stop(portCloses = false): Promise<void> {
    if (this.#ownServer?.listening) NetServer.prototype.close.call(this.#ownServer)
    const handle = this.#sharedHandle
    if (handle && portCloses) await this.#shared.noneWaits()
    handle?.close()
  }

  /** Serves a connection that was accepted as a bare handle, here or in another process. */
  accept(handle: object, details: ConnectionDetails = {}): void {
    const { socketOf = socketFromHandle } = this.#options
    const socket = socketOf(handle)
    socket.setNoDelay(true)
    if (isUnixHandle(handle)) setPeer(socket, LOCAL_PEER)
    // Before Node's HTTP parser reads from the handle itself: it takes bytes that were put back first.
    if (details.head) socket.unshift(Buffer.from(details.head, 'base64'))
    this.#onSocket(socket, details)
  }

  /** Connections of proxies are not for HTTP or TLS before their PROXY header was taken off. */
  #createProxiedServer(): NetServer {
    return createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#onSocket(socket, {}))
  }

  #onSocket(socket: Socket, details: ConnectionDetails): void {
    const isNew = details.idleMs === undefined && !details.origin?.admin
    if (this.#usesProxyProtocol && isNew && this.#sendsProxyHeader(socket.remoteAddress)) this.#awaitHeader(socket)
    else this.#enter(socket, details, Boolean(details.head))
  }

  #awaitHeader(socket: Socket): void {
    const { awaitingProxyHeader } = this.#registry
    awaitingProxyHeader.add(socket)
    readProxyHeader(socket, this.#options.headersMs, (header) => {
      awaitingProxyHeader.delete(socket)
      if (header instanceof Error) {
        this.#registry.countBadProxyHeader()
        this.onBadProxyHeader?.(socket.remoteAddress, header.message)
        // The client does not speak the expected protocol, so no response could be understood.
        socket.on('error', () => {}).destroy()
        return
      }
      const details = header.client ? { origin: { client: header.client } } : {}
      this.#enter(socket, details, !header.isLast)
    })
  }

  #enter(socket: Socket, details: ConnectionDetails, hasPrereadBytes: boolean): void {
    const { idleMs, origin, resume } = details
    if (origin?.client) setPeer(socket, origin.client)
    // A TLS socket counts only its own bytes.
    const skippedBytes = this.#listener === this.#http1 ? socket.bytesRead : 0
    setDetails(socket, details)
    if (resume) resumeConnection(socket, resume)
    this.#listener.emit('connection', socket)
    const connection = connectionOf(socket)
    if (!connection) return
    connection.hasPrereadBytes = hasPrereadBytes
    connection.skippedBytes = skippedBytes
    if (idleMs === undefined) return
    connection.transferred = true
    if (resume) {
      connection.resumption = resume
      connection.takenBack = details.takenBack === true
      connection.hasPrereadBytes = true
      return
    }
    connection.idleSince = performance.now() - (this.#options.keepAliveMs + KEEP_ALIVE_BUFFER_MS - idleMs)
    socket.setTimeout(idleMs)
  }
}
