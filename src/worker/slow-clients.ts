import { type Connection, handleOf, KEPT_LONGER_MS } from './connection.ts'
import { unlessServed } from './time-outs.ts'

const LOOK_MS = 500
/** Node looks so often for heads and bodies that are late, and has an answer for them. */
const NODE_LOOKS_MS = 1000

interface Stall {
  /** Bytes of answers that the kernel took, as far as the stream knows, and those that it still has to take. */
  taken: number
  queued: number
  since: number
}

export interface Patience {
  /** A client may take nothing of its answer for so long; 0: for ever. */
  sendMs: number
  keepAliveMs: number
  headersMs: number
  /** Node sees to it for HTTP/1.1. */
  requestMs: number
}

function cut(connection: Connection): void {
  connection.end = 'cut'
  // Not an end in order: what is not taken would stay in the kernel for minutes.
  connection.raw.resetAndDestroy()
}

/**
 * Cuts connections that node would keep for ever. Those whose clients take nothing of what was sent to them for so long;
 * who takes little, takes something: the kernel has room for more again and again. And those whose clients send line
 * feeds, which may come before a request: each winds up the time-out of an idle connection again.
 */
export function cutSlowClients(connections: Iterable<Connection>, patience: Patience): NodeJS.Timeout {
  const stalls = new WeakMap<Connection, Stall>()
  const betweenMs = patience.keepAliveMs + KEPT_LONGER_MS + patience.headersMs + NODE_LOOKS_MS

  const takesNothing = (connection: Connection, now: number) => {
    const { socket, raw, http2 } = connection
    if (socket.writableLength === 0 && !http2?.unsent) return void stalls.delete(connection)
    const taken = raw.bytesWritten - raw.writableLength
    const queued = handleOf(raw)?.writeQueueSize ?? 0
    const stall = stalls.get(connection)
    if (stall?.taken === taken && stall.queued === queued) return now - stall.since >= patience.sendMs
    return void stalls.set(connection, { taken, queued, since: now })
  }
  const asksNothing = ({ busy, upgraded, idleSince }: Connection, now: number) =>
    busy === 0 && !upgraded && now - idleSince > betweenMs

  return setInterval(() => {
    const now = performance.now()
    for (const connection of connections) {
      connection.http2?.endWhatIsLate(now, patience)
      if (patience.sendMs > 0 && takesNothing(connection, now)) cut(connection)
      else if (asksNothing(connection, now)) unlessServed(connection, () => cut(connection))
    }
  }, LOOK_MS).unref()
}
