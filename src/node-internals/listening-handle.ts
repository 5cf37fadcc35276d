// The libuv handle of a port. Public API cannot bind without listening, pause accepting, accept without making a net.Socket,
// or listen on a Unix socket that came from another process: in a cluster worker, `server.listen(handle)` would ask
// node:cluster's primary for that. Node 26 has net.BoundSocket for the first; older versions do not.
import net, { type Server } from 'node:net'
import { getSystemErrorName } from 'node:util'

/** A bound socket that does not listen yet. */
export interface BoundHandle {
  readonly fd: number
  readonly constructor: new (type: number) => BoundHandle
  open(fd: number): number
  /** A Unix socket has none. Returns 0 or a negative errno. */
  getsockname?(out: { port?: number }): number
  close(): void
}

/**
 * The handle of a listening socket that was opened by its descriptor, or came from another process. libuv polls such a handle
 * like a stream: to stop reading is to stop accepting, and connections wait in the kernel's queue.
 */
export interface ListeningHandle {
  readStart(): number
  readStop(): number
  /** Does nothing when it is closed already. */
  close(): void
}

/** A handle that accepts without a net.Server. */
export interface AcceptingHandle extends ListeningHandle {
  /** `status` is a negative errno when there is no handle. */
  onconnection: (status: number, handle: object | undefined) => void
  /** Returns 0 or a negative errno. */
  listen(backlog: number): number
}

/**
 * Binds without listening, for node:net and node:cluster themselves. Returns a handle or a negative errno. With port and
 * family -1 the address is the path of a Unix socket; with `fd` the socket is taken over and all else is ignored.
 */
const { _createServerHandle: createServerHandle } = net as unknown as {
  _createServerHandle(
    address: string | null,
    port: number,
    family: number,
    fd?: number,
    flags?: number
  ): BoundHandle | number
}

/** `TCPConstants.SERVER` of Node. */
const SERVER = 1
/** `UV_TCP_REUSEPORT` of libuv 1.49, which came with Node 22.12. Older versions take it for another flag or refuse it. */
const UV_TCP_REUSEPORT = 2

/** @returns whether a Node of this version, such as "22.12.0", can share a port between sockets */
export function supportsReusePort(version = process.versions.node): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major > 22 || (major === 22 && minor >= 12)
}

/**
 * Binds an address without listening.
 * @param family 4 or 6
 * @throws Error with a `code`
 */
export function bindTcp(address: string, port: number, family: number, reusePort = false): BoundHandle {
  const flags = reusePort && supportsReusePort() ? UV_TCP_REUSEPORT : 0
  return orThrow(createServerHandle(address, port, family, undefined, flags))
}

/** Binds a Unix socket at a path. @throws Error with a `code` */
export const bindUnix = (path: string): BoundHandle => orThrow(createServerHandle(path, -1, -1))

/** Takes over a socket that this process was started with. @throws Error with a `code` */
export const bindDescriptor = (fd: number): BoundHandle => orThrow(createServerHandle(null, 0, 0, fd))

/**
 * Returns the port that a handle is bound to. libuv reports a port that is in use here, and not when it binds.
 * @returns undefined when the socket is not a TCP socket
 * @throws Error with a `code`, after closing the handle
 */
export function boundPort(handle: BoundHandle): number | undefined {
  const out: { port?: number } = {}
  const status = handle.getsockname?.(out)
  if (status === undefined || status === 0) return out.port
  handle.close()
  throw systemError(status)
}

/**
 * Opens a second handle on the same descriptor, one that can be paused ({@link ListeningHandle}). The first handle must not
 * be closed: the descriptor closes with the second.
 * @throws Error with a `code`
 */
export function reopen(handle: BoundHandle): BoundHandle {
  const opened = new handle.constructor(SERVER)
  const status = opened.open(handle.fd)
  if (status !== 0) throw systemError(status)
  return opened
}

/** @returns the handle that a server listens on; null before it listens and after it closed */
export const listeningHandleOf = (server: Server): (ListeningHandle & AcceptingHandle) | null =>
  (server as Server & { _handle: AcceptingHandle | null })._handle

/** Stops accepting. libuv only stops a handle that it believes to be reading, so reading starts first. */
export function pauseAccepting(handle: ListeningHandle): void {
  handle.readStart()
  handle.readStop()
}

export function resumeAccepting(handle: ListeningHandle): void {
  handle.readStart()
}

/**
 * Gives every accepted connection to `accept` as a bare handle, in place of Node's own listener, which makes a net.Socket.
 * @param onError gets a negative errno
 */
export function acceptHandles<T extends object>(
  listening: Pick<AcceptingHandle, 'onconnection'>,
  accept: (handle: T) => void,
  onError: (status: number) => void
): void {
  listening.onconnection = (status, handle) => {
    if (handle) accept(handle as T)
    else onError(status)
  }
}

/** Listens on a handle without a net.Server. @throws Error with a `code` */
export function listenOnHandle(handle: AcceptingHandle, backlog: number): void {
  const status = handle.listen(backlog)
  if (status !== 0) throw systemError(status)
}

export function probeListeningHandle(): Record<string, boolean> {
  const hasCreate = typeof createServerHandle === 'function'
  const handle = hasCreate ? bindTcp('0.0.0.0', 0, 4) : undefined
  const has = (name: string) => handle !== undefined && name in handle
  try {
    return {
      'net._createServerHandle': hasCreate,
      'net.Server#_handle': '_handle' in net.createServer(),
      'TCP#open': has('open'),
      'TCP#fd': has('fd'),
      'TCP#getsockname': has('getsockname'),
      'TCP#listen': has('listen'),
      'TCP#onconnection': has('onconnection')
    }
  } finally {
    handle?.close()
  }
}

function orThrow(result: BoundHandle | number): BoundHandle {
  if (typeof result === 'number') throw systemError(result)
  return result
}

function systemError(errno: number): NodeJS.ErrnoException {
  const code = getSystemErrorName(errno)
  return Object.assign(new Error(code), { code })
}
