import type { Socket } from 'node:net'
import { connectionOf, currentResponseOf } from '../connections/connection.ts'

const PROBE_INTERVAL_MS = 1000

/**
 * Detects clients that closed the whole connection while their request is served. Their FIN looks like that of a client that
 * only sends no more (half-closed); the difference is that they reset the connection when something is sent to them.
 */
export function watchHalfClosed(socket: Socket): void {
  socket.once('end', probe)
}

function probe(this: Socket): void {
  const connection = connectionOf(this)
  if (!connection || connection.busy === 0 || connection.upgraded) return
  // A client that is gone resets the connection when it gets a keep-alive probe, on Linux up to a minute after its end. Node
  // does not watch a socket after FIN: only a write, even an empty one, finds the reset.
  connection.raw.setKeepAlive(true, PROBE_INTERVAL_MS)
  const timer = setInterval(() => {
    const response = currentResponseOf(connection)
    // Clients of HTTP/1.1 skip an interim response, and clients that are gone reset. HTTP/1.0 has no interim responses.
    if (response && !response.headersSent && response.req.httpVersionMinor > 0) response.writeContinue()
    else connection.raw.write('')
  }, PROBE_INTERVAL_MS)
  this.once('close', () => clearInterval(timer))
}
