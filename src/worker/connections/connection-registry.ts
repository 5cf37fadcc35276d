import type { Socket } from 'node:net'
import type { Origin, Resume } from '../../ipc/messages.ts'
import { Admission, type AdmissionOptions, type RefusalReason } from './admission.ts'
import {
  type Connection,
  type ConnectionObserver,
  connectionOf,
  createConnection,
  type Linked,
  setConnection
} from './connection.ts'

/** What the primary says about a connection that it passes on. */
export interface ConnectionDetails {
  /** The rest of its keep-alive time, in ms; undefined for a new connection. */
  idleMs?: number | undefined
  /** Bytes of the client that were read already, in base64. */
  head?: string | undefined
  origin?: Origin | undefined
  /** Set when the connection is in use. */
  resume?: Resume | undefined
  /** No other worker could take the connection. */
  takenBack?: boolean
}

const DETAILS = Symbol('connection details')
type DetailedSocket = Socket & { [DETAILS]?: ConnectionDetails }

/** Attaches the details of a connection to its socket, for {@link ConnectionRegistry.register}. */
export function setDetails(socket: Socket, details: ConnectionDetails): void {
  ;(socket as DetailedSocket)[DETAILS] = details
}

/**
 * The connections of a worker, in the order in which they came. It behaves as a Set, and is a linked list: V8 gives a Set a new
 * table every few deletions, and links the old table, with all that it held, to the new one. Once such a table has become
 * old, each young collection keeps the tables and the closed connections after it. With a connection per request, 1.7 times as
 * many bytes became old, and collections took a quarter longer: docs/explanation/performance.md.
 */
export class ConnectionSet implements Iterable<Connection> {
  /** Before the first connection and after the last one. */
  readonly #end: Linked = { previous: undefined, next: undefined }
  #size = 0

  constructor() {
    this.#end.previous = this.#end
    this.#end.next = this.#end
  }

  get size(): number {
    return this.#size
  }

  /** A connection is in one set at most. */
  has(connection: Connection): boolean {
    return connection.next !== undefined
  }

  add(connection: Connection): void {
    if (this.has(connection)) return
    const last = this.#end.previous!
    connection.previous = last
    connection.next = this.#end
    last.next = connection
    this.#end.previous = connection
    this.#size++
  }

  delete(connection: Connection): void {
    if (!this.has(connection)) return
    connection.previous!.next = connection.next
    connection.next!.previous = connection.previous
    // A closed connection that has become old would otherwise keep the next ones.
    connection.previous = undefined
    connection.next = undefined
    this.#size--
  }

  /** Visits the connections of this moment, but none that is deleted before its turn. */
  *[Symbol.iterator](): Generator<Connection, void> {
    const all: Connection[] = []
    for (let one = this.#end.next!; one !== this.#end; one = one.next!) all.push(one as Connection)
    for (const connection of all) if (this.has(connection)) yield connection
  }
}

/** Every connection of this worker. */
export class ConnectionRegistry {
  /** Connections that speak HTTP, or a TLS handshake. */
  readonly all = new ConnectionSet()
  /** Connections of proxies whose PROXY header is not complete. They are not in `all`. */
  readonly awaitingProxyHeader = new Set<Socket>()
  /** Connections whose client waits for the answer to an admin command. A drain does not wait for them. */
  readonly awaitingAdminResponse = new Set<Connection>()
  observer: ConnectionObserver | undefined
  /** Called with +1 when a connection was opened and with -1 when it closed. */
  onCountChange: ((change: 1 | -1) => void) | undefined
  readonly #admission: Admission

  constructor(options: AdmissionOptions) {
    this.#admission = new Admission(options)
  }

  /** Connections that have a file descriptor in this process. */
  get openCount(): number {
    return this.all.size + this.awaitingProxyHeader.size
  }

  /** Connections refused since the start, by reason. */
  get refused(): Readonly<Record<RefusalReason, number>> {
    return this.#admission.refused
  }

  countBadProxyHeader(): void {
    this.#admission.refused['proxy-header']++
  }

  /** @returns the reason when the connection is refused. Admin and transferred connections are never refused. */
  register(socket: Socket): Connection | RefusalReason {
    const { idleMs, origin } = (socket as DetailedSocket)[DETAILS] ?? {}
    if (!origin?.admin) {
      const reason = idleMs === undefined ? this.#admission.check(socket, this.all.size) : undefined
      if (reason) return reason
      this.#admission.enter(socket)
    }
    const connection = createConnection(socket, origin)
    this.all.add(connection)
    this.onCountChange?.(1)
    setConnection(socket, connection)
    this.observer?.onOpened(connection)
    socket.on('close', () => this.#remove(connection))
    return connection
  }

  /** Marks the connection of an admin command. @returns a function to call when the command is answered */
  holdForAdminRequest(socket: Socket): () => void {
    const connection = connectionOf(socket)
    if (!connection) return () => {}
    this.awaitingAdminResponse.add(connection)
    this.observer?.onAnswered(connection)
    return () => void this.awaitingAdminResponse.delete(connection)
  }

  /** @returns whether the connection was accepted at ADMIN_PORT */
  isAdmin(socket: Socket): boolean {
    return connectionOf(socket)?.origin?.admin === true
  }

  /**
   * Returns whether the connection was transferred and its client has sent nothing since. Node starts its header timeout when
   * a connection comes, and would answer 408 to a client that sent no request; the keep-alive timeout applies instead.
   */
  isIdleTransferred(socket: Socket): boolean {
    return connectionOf(socket)?.transferred === true && socket.bytesRead === 0
  }

  #remove(connection: Connection): void {
    this.all.delete(connection)
    this.awaitingAdminResponse.delete(connection)
    this.observer?.onClosed(connection)
    this.onCountChange?.(-1)
  }
}
