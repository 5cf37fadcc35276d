import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Resumption } from '../../http/transferable.ts'
import type { Cut } from '../../ipc/drain-report.ts'
import type { Origin } from '../../ipc/messages.ts'
import { handleOf, startReading, stopReading } from '../../node-internals/tcp-handle.ts'
import type { UnitTally } from '../../verdict/measurement-recorder.ts'
import type { Exchange } from '../transfer/exchange.ts'
import type { IncomingFrames } from '../transfer/incoming-frames.ts'
import type { OutgoingFrames } from '../transfer/outgoing-frames.ts'
import type { SlowClientLimits } from './send-progress.ts'

/** Neighbours in the set of all connections, which alone changes them; undefined outside of it. */
export interface Linked {
  previous: Linked | undefined
  next: Linked | undefined
}

/** One client connection of this worker. */
export interface Connection extends Linked {
  /** The socket that HTTP is spoken over: the TLS socket after the handshake, otherwise the TCP socket. */
  socket: Socket
  /** The TCP socket. */
  readonly raw: Socket
  /** Requests received and not answered completely. */
  busy: number
  /** Requests received in this worker. */
  requests: number
  /** Responses of HTTP/1.1 that are not complete, oldest first. Node sends the first one; the others wait for it. */
  responses: ServerResponse[]
  /** Starts the requests beyond the limit of unanswered ones, in order, as earlier ones are answered. */
  waiting: (() => void)[]
  /** When this worker got the connection, in ms of `performance.now()`. */
  readonly openedAt: number
  /** What it has requested since a trial began; undefined otherwise. */
  unit: UnitTally | undefined
  /** When the last response was complete, or when the connection came, in ms of `performance.now()`. */
  idleSince: number
  /** Undefined for a connection at PORT whose client is the peer that the kernel names. */
  origin: Origin | undefined
  /** It came from another worker. */
  transferred: boolean
  /** It came with bytes of a request that were read elsewhere; `socket.bytesRead` does not include them. */
  hasPrereadBytes: boolean
  /** Bytes in `socket.bytesRead` that belong to no request: those of a PROXY header. */
  skippedBytes: number
  /** It speaks another protocol now, such as WebSocket, and cannot be transferred. */
  upgraded: boolean
  /** The exchange in progress that may continue in another worker. */
  exchange: Exchange | undefined
  /** How its first request came from another worker; undefined once the app has that request. */
  resumption: Resumption | undefined
  /** No other worker could take the exchange in progress, which ends in this one. */
  takenBack: boolean
  /** What was written since the upgrade; undefined before. */
  webSocket: OutgoingFrames | undefined
  /** What was read since the upgrade; undefined before. */
  incoming: IncomingFrames | undefined
  /** Set when it speaks HTTP/2. */
  http2: Http2Control | undefined
  /** Reading is stopped because enough of its requests are unanswered. */
  paused: boolean
  /** It takes no more requests: it is being transferred, or FIN was sent. */
  leaving: boolean
  /** How it ended, for the statistics of a drain; `left` means that the client closed it. */
  end: 'handedOver' | 'answered' | 'closed' | 'idle' | 'left' | 'cut' | 'lost'
  /** Set when it was cut. */
  cut: Pick<Cut, 'kind' | 'reason'> | undefined
}

/** The HTTP/2 session of a connection. */
export interface Http2Control {
  /** Requests not answered yet, oldest first. */
  readonly open: IncomingMessage[]
  /** Ends the session without losing a request that is on its way. */
  close(): void
  /** Ends what is over its time. @param now in ms of `performance.now()` */
  enforceTimeouts(now: number, limits: SlowClientLimits): void
}

/** Observes connections; a drain does. */
export interface ConnectionObserver {
  onOpened(connection: Connection): void
  /** A response is complete, or the connection now waits only for the answer to an admin command. */
  onAnswered(connection: Connection): void
  onClosed(connection: Connection): void
}

/** An idle connection is kept this much longer than its client was told, which may use it to the last moment. In ms. */
export const KEEP_ALIVE_BUFFER_MS = 1000

const CONNECTION = Symbol('connection')
type KnownSocket = Socket & { [CONNECTION]?: Connection }

/**
 * Returns the connection of a socket; undefined when it was refused. It is a property of the socket and not in a WeakMap: with
 * one connection per request, V8's young collections take half as long again when every connection is in one.
 */
export const connectionOf = (socket: Socket): Connection | undefined => (socket as KnownSocket)[CONNECTION]

/** Makes {@link connectionOf} return this connection for the socket. */
export function setConnection(socket: Socket, connection: Connection): void {
  ;(socket as KnownSocket)[CONNECTION] = connection
}

/** Makes the record of a new connection, with all fields at once: objects that grow later cost more. */
export const createConnection = (
  socket: Socket,
  origin: Origin | undefined,
  openedAt = performance.now()
): Connection => ({
  socket,
  raw: socket,
  previous: undefined,
  next: undefined,
  busy: 0,
  requests: 0,
  responses: [],
  waiting: [],
  openedAt,
  unit: undefined,
  idleSince: openedAt,
  origin,
  transferred: false,
  hasPrereadBytes: false,
  skippedBytes: 0,
  upgraded: false,
  exchange: undefined,
  resumption: undefined,
  takenBack: false,
  webSocket: undefined,
  incoming: undefined,
  http2: undefined,
  paused: false,
  leaving: false,
  end: 'left',
  cut: undefined
})

/** @returns the last request received that is not answered; only its response may say `Connection: close` */
export const lastRequestOf = ({ responses }: Connection): IncomingMessage | undefined => responses.at(-1)?.req

/** @returns the request of HTTP/1.1 whose body is still arriving; none can come after it */
export function incompleteRequestOf(connection: Connection): IncomingMessage | undefined {
  const request = lastRequestOf(connection)
  return request?.complete === false ? request : undefined
}

/** @returns the response that Node is sending, or will send next; the others of a pipeline have no socket yet */
export const currentResponseOf = ({ responses }: Connection): ServerResponse | undefined =>
  responses.find(({ socket }) => socket !== null)

/** Stops reading. Bytes that the client sends stay in the kernel and move with a transferred connection. */
export function pauseReading(connection: Connection): void {
  connection.paused = true
  stopReading(connection.socket)
}

export function resumeReading(connection: Connection): void {
  if (!connection.paused) return
  connection.paused = false
  startReading(connection.socket)
}

/**
 * Returns whether the connection is between two requests as far as its sockets know: no response has bytes to send, and no
 * bytes of a request wait to be parsed. The parser may still have half a request.
 */
export function isQuiescent({ busy, leaving, upgraded, socket, raw }: Connection): boolean {
  if (busy > 0 || leaving || upgraded || socket.destroyed || socket.writableEnded) return false
  const handle = handleOf(raw)
  return handle?.writeQueueSize === 0 && socket.readableLength === 0 && socket.writableLength === 0
}
