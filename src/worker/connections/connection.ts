import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Origin } from '../../ipc/messages.ts'
import type { ListeningHandle } from '../../net/accept-gate.ts'
import type { Http2Session } from '../protocols/http2.ts'

/** One client connection as the worker knows it. */
export interface Connection {
  /** What HTTP is spoken over: TLS, once that is settled, or the TCP socket itself. */
  socket: Socket
  /** The TCP socket. */
  readonly raw: Socket
  /** Requests received and not answered yet. */
  busy: number
  /** Requests received here. */
  requests: number
  /** The last request received: only its answer may say `Connection: close`. */
  lastRequest?: IncomingMessage | undefined
  /** When the last answer was complete, or when the connection came, in ms of `performance.now()`. */
  idleSince: number
  /** Undefined for one that came in at PORT, from the client that the kernel names. */
  origin: Origin | undefined
  /** It came from another worker and has sent nothing here yet. */
  transferred: boolean
  /** It came with bytes of the client's that were read elsewhere; the socket does not count them. */
  hasPrereadBytes: boolean
  /** Bytes that the socket counts and that were no request: those of a PROXY header. */
  skipped: number
  /** No longer HTTP/1: it cannot change hands. */
  upgraded: boolean
  /** It speaks HTTP/2. */
  http2?: Http2Session | undefined
  /** Nothing is read of it at the moment: it has enough requests that are not answered. */
  paused: boolean
  /** Start the requests that were read in one chunk with others before the pause, in order, as earlier ones are answered. */
  waiting: (() => void)[]
  /** It cannot be used any more: on its way to another worker, or FIN is sent. */
  leaving: boolean
  /** How it ends, for the ledger of a drain; the client closed it where nothing else is said. */
  end: 'handedOver' | 'answered' | 'idle' | 'left' | 'cut' | 'lost'
}

const CONNECTION = Symbol('connection')
type KnownSocket = Socket & { [CONNECTION]?: Connection }

/**
 * What is known of a socket's connection; undefined for one that was refused. A field of the socket, and no WeakMap: with a
 * connection a request, V8's small collections take half as long again where each is in one.
 */
export const connectionOf = (socket: Socket): Connection | undefined => (socket as KnownSocket)[CONNECTION]

/** From now on it is what {@link connectionOf} the socket gives. */
export function setConnection(socket: Socket, connection: Connection): void {
  ;(socket as KnownSocket)[CONNECTION] = connection
}

/** Is told what happens to connections. */
export interface Watcher {
  opened(connection: Connection): void
  /** An answer is complete. */
  quiet(connection: Connection): void
  closed(connection: Connection): void
}

/** An idle connection is kept so much longer than its client was told, who may use it to the last moment. In ms. */
export const KEPT_LONGER_MS = 1000

/** Node's own TCP handle, the part of it that a connection needs to change hands. */
export interface TcpHandle {
  readStop(): void
  readStart(): void
  /** Whether node has it read; node's own field. */
  reading: boolean
  /** Bytes given to the kernel, or to libuv, which has `writeQueueSize` of them still. */
  readonly bytesWritten: number
  readonly writeQueueSize: number
}

/** Node's own handle of a bound socket. */
export interface PortHandle extends ListeningHandle {
  onconnection: (status: number, handle: TcpHandle | undefined) => void
  /** Zero, or a negative errno. */
  listen(backlog: number): number
  close(): void
}

export const handleOf = (socket: Socket): TcpHandle | null => (socket as Socket & { _handle: TcpHandle | null })._handle

/** A connection that has just been accepted. All fields at once: objects that grow cost more. */
export const fresh = (socket: Socket): Connection => ({
  socket,
  raw: socket,
  busy: 0,
  requests: 0,
  lastRequest: undefined,
  idleSince: performance.now(),
  origin: undefined,
  transferred: false,
  hasPrereadBytes: false,
  skipped: 0,
  upgraded: false,
  http2: undefined,
  paused: false,
  waiting: [],
  leaving: false,
  end: 'left'
})

/**
 * Reads no more of the connection. What the client sends stays in the kernel, and travels along if the connection is
 * transferred. Node, which pauses connections too, takes `reading` for the truth and does not begin to read by itself.
 */
export function pauseReading(connection: Connection): void {
  const handle = handleOf(connection.socket)
  connection.paused = true
  if (!handle) return
  handle.readStop()
  handle.reading = true
}

/** Reads on, or leaves that to node where it has paused the connection as well: its parser takes no bytes meanwhile. */
export function resumeReading(connection: Connection): void {
  const handle = handleOf(connection.socket)
  if (!connection.paused) return
  connection.paused = false
  if (!handle) return
  if ((connection.socket as Socket & { _paused?: boolean })._paused) handle.reading = false
  else handle.readStart()
}

/** Whether nothing of an answer is still to be sent, and no request half read, as far as the sockets know. */
export function isQuiet({ busy, leaving, upgraded, socket, raw }: Connection): boolean {
  const handle = handleOf(raw)
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
