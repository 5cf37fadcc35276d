import { socketFromHandle } from '../../node-internals/tcp-handle.ts'

/** The part of a connection's handle that reading needs. */
export interface ReadableHandle {
  readStop(): void
}

/** Bytes that were read from a connection, which goes on. */
export interface RequestHead {
  read: Buffer
  /** Closes the copy of the connection in this process. */
  release: () => void
}

/** The size up to which Node's own HTTP parser takes a request head. */
const MAX_BYTES = 16 * 1024
const TIMEOUT_MS = 1000

/**
 * Reads from a bare connection until `isEnough`, or for a second, or 16 KiB. The bytes are gone from the connection and must
 * be passed on with it. Calls back once; with undefined when the client is gone.
 * @param isEnough gets all bytes read so far
 */
export function peekRequestHead(
  handle: ReadableHandle,
  isEnough: (read: Buffer) => boolean,
  done: (head: RequestHead | undefined) => void
): void {
  const socket = socketFromHandle(handle)
  let read: Buffer = Buffer.alloc(0)
  const finish = () => {
    clearTimeout(timer)
    // The connection belongs to a worker from now on: this process neither reads it nor reacts to its errors.
    handle.readStop()
    socket.pause().removeAllListeners()
    socket.on('error', () => {})
    const rest = socket.read() as Buffer | null
    done({ read: rest ? Buffer.concat([read, rest]) : read, release: () => socket.destroy() })
  }
  const timer = setTimeout(finish, TIMEOUT_MS)
  socket.on('data', (chunk: Buffer) => {
    read = Buffer.concat([read, chunk])
    if (read.length >= MAX_BYTES || isEnough(read)) finish()
  })
  // The kernel reports the end of a connection to every process that has it, so the worker sees it too.
  socket.on('end', finish)
  socket.on('error', () => {
    clearTimeout(timer)
    done(undefined)
  })
}
