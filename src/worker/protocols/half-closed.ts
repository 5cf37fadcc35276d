import type { Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { connectionOf } from '../connections/connection.ts'

/** How often a client that has closed its side is asked whether it still reads, in ms. */
const PROBE_MS = 1000

type HttpSocket = Socket & { _httpMessage?: ServerResponse | null }

/**
 * Lets clients close their side of a connection behind a request, as `nc -N` does, and still get the response. Node would
 * close the whole connection at once. `httpAllowHalfOpen` is a field of node's server that its documentation does not name.
 */
export function allowHalfClosed(server: Server): void {
  Object.assign(server, { httpAllowHalfOpen: true })
}

/**
 * Makes sure that a client that has closed everything is noticed while its request is served. Its FIN looks like that of a
 * client that only sends no more; the difference is that it resets the connection when it is sent something.
 */
export function watchHalfClosed(socket: Socket): void {
  socket.once('end', probe)
}

function probe(this: HttpSocket): void {
  const connection = connectionOf(this)
  if (!connection || connection.busy === 0 || connection.upgraded) return
  // A client that is gone resets the connection when it gets a keep-alive probe, on Linux a minute after its end. Node does
  // not watch a socket after FIN: only a write, even an empty one, finds the reset.
  connection.raw.setKeepAlive(true, PROBE_MS)
  const timer = setInterval(() => {
    const response = this._httpMessage
    // Clients of HTTP/1.1 skip a response with this status, and those that are gone reset. HTTP/1.0 does not know it.
    if (response && !response.headersSent && response.req.httpVersionMinor > 0) response.writeContinue()
    else connection.raw.write('')
  }, PROBE_MS)
  this.once('close', () => clearInterval(timer))
}
