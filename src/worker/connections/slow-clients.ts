import { routeTimeLeft } from '../../http/plugins/limits/request-timeout.ts'
import { handleOf } from '../../node-internals/tcp-handle.ts'
import { markCut } from '../lingering/remaining.ts'
import { type Connection, incompleteRequestOf, KEEP_ALIVE_BUFFER_MS } from './connection.ts'
import { SendProgress, type SlowClientLimits } from './send-progress.ts'
import { afterPendingInput } from './timeouts.ts'

const CHECK_INTERVAL_MS = 500
/** Node checks header and request timeouts this often, and answers late requests itself. */
const NODE_CHECK_INTERVAL_MS = 1000

/**
 * Ends connections that Node would keep forever. Checks twice a second:
 * - clients that take nothing of a response for too long, or too little (for HTTP/2, only the stream ends);
 * - idle clients that send line feeds, which are allowed before a request and restart Node's keep-alive timeout each time;
 * - requests over the limit that their route sets in place of REQUEST_TIMEOUT.
 * @param refuseLate answers 408 and ends the connection
 */
export function cutSlowClients(
  connections: Iterable<Connection>,
  limits: SlowClientLimits,
  refuseLate: (connection: Connection) => void
): NodeJS.Timeout {
  const progress = new WeakMap<Connection, SendProgress>()
  const refused = new WeakSet<object>()
  const maxIdleMs = limits.keepAliveMs + KEEP_ALIVE_BUFFER_MS + limits.headersMs + NODE_CHECK_INTERVAL_MS

  const takesTooLittle = (connection: Connection, now: number): boolean => {
    const { socket, raw } = connection
    const handle = handleOf(raw)
    if (socket.writableLength === 0 || !handle) {
      progress.delete(connection)
      return false
    }
    const sentBytes = handle.bytesWritten - handle.writeQueueSize
    const known = progress.get(connection)
    if (known) return known.isTooSlow(sentBytes, now, limits)
    progress.set(connection, new SendProgress(sentBytes, now))
    return false
  }
  const sendsNoRequest = ({ busy, upgraded, idleSince }: Connection, now: number) =>
    busy === 0 && !upgraded && now - idleSince > maxIdleMs

  const refuseIfLate = (connection: Connection) => {
    const request = incompleteRequestOf(connection)
    // For routes that set no limit, Node enforces REQUEST_TIMEOUT.
    if (!request || connection.paused || refused.has(request)) return
    const left = routeTimeLeft(request)
    if (left === undefined || left > 0) return
    refused.add(request)
    refuseLate(connection)
  }

  return setInterval(() => {
    const now = performance.now()
    for (const connection of connections) {
      connection.http2?.enforceTimeouts(now, limits)
      if (limits.sendMs > 0 && takesTooLittle(connection, now)) cut(connection)
      else if (connection.busy > 0) refuseIfLate(connection)
      else if (sendsNoRequest(connection, now)) afterPendingInput(connection, () => cut(connection))
    }
  }, CHECK_INTERVAL_MS).unref()
}

/** Resets the connection. After a FIN, data that the client does not take would stay in the kernel for minutes. */
function cut(connection: Connection): void {
  markCut(connection, 'slow')
  connection.raw.resetAndDestroy()
}
