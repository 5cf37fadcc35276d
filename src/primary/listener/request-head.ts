import { Socket } from 'node:net'

/** Node's TCP handle, the part that reading needs. */
export interface ReadableHandle {
  readStop(): void
}

/** What was read of a connection; the connection itself goes on. */
export interface RequestHead {
  read: Buffer
  /** Closes this process' copy of the connection. */
  release: () => void
}

/** As much as node's own HTTP parser takes for a head. */
const LIMIT = 16 * 1024
const PATIENCE_MS = 1000

/**
 * Reads from a bare connection until that is enough, or too long, or a second is over. What is read must travel with the
 * connection. Calls back once; with nothing when the client has gone meanwhile.
 * @param isEnough asked with all that was read so far
 */
export function peekRequestHead(
  handle: ReadableHandle,
  isEnough: (read: Buffer) => boolean,
  done: (peeked: RequestHead | undefined) => void
): void {
  const options = { handle, allowHalfOpen: true, readable: true, writable: true }
  const socket = new Socket(options as ConstructorParameters<typeof Socket>[0])
  let read: Buffer = Buffer.alloc(0)
  const finish = () => {
    clearTimeout(timer)
    // Nothing more is read here, and nobody is told of what happens to it: that is the worker's now.
    handle.readStop()
    socket.pause().removeAllListeners()
    socket.on('error', () => {})
    const rest = socket.read() as Buffer | null
    done({ read: rest ? Buffer.concat([read, rest]) : read, release: () => socket.destroy() })
  }
  const timer = setTimeout(finish, PATIENCE_MS)
  socket.on('data', (chunk: Buffer) => {
    read = Buffer.concat([read, chunk])
    if (read.length >= LIMIT || isEnough(read)) finish()
  })
  // The end of a connection is told to everyone who asks: the worker sees it too.
  socket.on('end', finish)
  socket.on('error', () => {
    clearTimeout(timer)
    done(undefined)
  })
}
