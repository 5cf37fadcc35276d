// The libuv handle below a socket. Public API has no way to stop reading without buffering in this process, to send a
// connection that is in use to another process, to see how much of a write the kernel has taken, or to reach the TCP socket
// below a TLS socket.
import { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { bindTcp } from './listening-handle.ts'

/** Node's handle of a TCP or Unix connection (`TCP` of tcp_wrap, `Pipe` of pipe_wrap). */
export interface ConnectionHandle {
  readStart(): void
  readStop(): void
  /** Whether node:net believes that the handle is being read; node:net sets it. */
  reading: boolean
  /** Bytes given to libuv so far. libuv has `writeQueueSize` of them still; the kernel has the others. */
  readonly bytesWritten: number
  readonly writeQueueSize: number
  /** The file descriptor; negative once the handle is closed. Undefined on Windows. */
  readonly fd?: number
  close(): void
  /** A Unix socket has none. Returns 0 or a negative errno. */
  getpeername?(out: { address?: string; port?: number }): number
}

/** @returns undefined or null once the socket is closed */
export const handleOf = (socket: Socket): ConnectionHandle | null | undefined =>
  (socket as Socket & { _handle?: ConnectionHandle | null })._handle

/**
 * Wraps a bare handle in a socket that stays half-open when the peer sends FIN. `handle` is an option of net.Socket that is
 * not documented; the documented `fd` would make a second owner of the file descriptor.
 */
export function socketFromHandle(handle: object): Socket {
  const options = { handle, allowHalfOpen: true, readable: true, writable: true }
  return new Socket(options as ConstructorParameters<typeof Socket>[0])
}

/** @returns whether the handle belongs to a Unix socket, whose peer has no address */
export const isUnixHandle = (handle: object): boolean => !('getpeername' in handle)

/** @returns the address of the peer as the kernel spells it; undefined for a Unix socket and when the client is gone */
export function peerAddressOf(handle: Pick<ConnectionHandle, 'getpeername'>): string | undefined {
  const out: { address?: string } = {}
  handle.getpeername?.(out)
  return out.address
}

/**
 * Stops reading a socket; what the client sends stays in the kernel. `socket.pause()` would read one more chunk into this
 * process. Node takes `reading` for the truth and does not start to read by itself while that is true.
 */
export function stopReading(socket: Socket): void {
  const handle = handleOf(socket)
  if (!handle) return
  handle.readStop()
  handle.reading = true
}

/**
 * Takes the handle from a socket, which is then destroyed as if its client had left. The connection lives on in the handle. Call
 * it when everything that was written is sent.
 * @returns undefined when the socket is closed
 */
export function takeHandle(socket: Socket): ConnectionHandle | undefined {
  const handle = handleOf(socket)
  if (!handle) return undefined
  handle.readStop()
  // Another socket of this process may get the handle.
  handle.reading = false
  Object.assign(socket, { _handle: null })
  socket.destroy()
  return handle
}

/**
 * Starts reading an HTTP socket again after {@link stopReading}. When Node has paused the socket as well, for backpressure,
 * its HTTP parser takes no bytes; Node's server then starts reading when it resumes the socket.
 */
export function startReading(socket: Socket): void {
  const handle = handleOf(socket)
  if (!handle) return
  if (socket.isPaused()) handle.reading = false
  else handle.readStart()
}

/** @returns the TCP socket that a server's TLS socket was made from */
export const tcpSocketBelow = (socket: TLSSocket): Socket => (socket as TLSSocket & { _parent: Socket })._parent

export function probeTcpHandle(): Record<string, boolean> {
  const handle = bindTcp('0.0.0.0', 0, 4)
  const socket = new Socket({ handle, readable: false, writable: false } as ConstructorParameters<typeof Socket>[0])
  try {
    return {
      'net.Socket options.handle': handleOf(socket) === (handle as object),
      'net.Socket#_handle': '_handle' in socket,
      'net.Socket#_parent': '_parent' in socket,
      'TCP#readStart': 'readStart' in handle,
      'TCP#readStop': 'readStop' in handle,
      'TCP#getpeername': 'getpeername' in handle,
      'TCP#fd': 'fd' in handle,
      'TCP#bytesWritten': 'bytesWritten' in handle,
      'TCP#writeQueueSize': 'writeQueueSize' in handle
    }
  } finally {
    socket.destroy()
  }
}
