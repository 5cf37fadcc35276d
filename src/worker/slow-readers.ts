import { type Connection, handleOf } from './connections.ts'

const LOOK_MS = 1000

interface Stall {
  /** Bytes of answers that the kernel took, as far as the stream knows, and those that it still has to take. */
  taken: number
  queued: number
  since: number
}

/**
 * Cuts connections whose clients take nothing of what was sent to them for so long: node gives them all the time there
 * is. Who takes little, takes something: the kernel has room for more again and again.
 */
export function cutSlowReaders(connections: Iterable<Connection>, sendMs: number): NodeJS.Timeout {
  const stalls = new WeakMap<Connection, Stall>()
  return setInterval(() => {
    const now = performance.now()
    for (const connection of connections) {
      const { socket } = connection
      if (socket.writableLength === 0) {
        stalls.delete(connection)
        continue
      }
      const taken = socket.bytesWritten - socket.writableLength
      const queued = handleOf(socket)?.writeQueueSize ?? 0
      const stall = stalls.get(connection)
      if (stall?.taken !== taken || stall.queued !== queued) stalls.set(connection, { taken, queued, since: now })
      else if (now - stall.since >= sendMs) {
        connection.end = 'cut'
        socket.destroy()
      }
    }
  }, LOOK_MS).unref()
}
