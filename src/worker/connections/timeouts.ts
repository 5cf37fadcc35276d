import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { routeTimeLeft } from '../../http/plugins/limits/request-timeout.ts'
import { type Connection, currentResponseOf, incompleteRequestOf, lastRequestOf } from './connection.ts'

// A process that was stopped, or got no CPU, runs expired timers before it reads what arrived in time. So a timeout first
// lets the event loop read the pending input.

/** Calls `end` after pending input was read, unless that completed a request. Does nothing while reading is paused. */
export function afterPendingInput(connection: Connection | undefined, end: () => void): void {
  // The rest of the request may have arrived: it is this worker that does not read it.
  if (connection?.paused) return
  const before = completeRequests(connection)
  setImmediate(() => {
    if (completeRequests(connection) === before) end()
  })
}

/** Handles the `timeout` of a socket in Node's place: an idle connection ends, unless its next request has arrived. */
export function onSocketTimeout(socket: Socket, connection: Connection | undefined): void {
  if (connection?.busy === 0 && !connection.leaving) {
    const { bytesRead } = socket
    setImmediate(() => {
      if (socket.bytesRead === bytesRead) socket.destroy()
    })
    return
  }
  // A route that sets a timeout of its own also handles it.
  const response = connection && currentResponseOf(connection)
  const request = connection && lastRequestOf(connection)
  if (!response?.listenerCount('timeout') && !request?.listenerCount('timeout')) socket.destroy()
}

/**
 * Returns whether a request that is still arriving is over its time, which its route may set.
 * @param ageMs since the request came
 * @param requestMs the limit of routes that set none
 */
export function isLate(request: IncomingMessage, ageMs: number, requestMs: number): boolean {
  const left = routeTimeLeft(request)
  return left === undefined ? ageMs > requestMs : left <= 0
}

/** @returns how many requests were received to their end */
function completeRequests(connection: Connection | undefined): number {
  if (!connection) return 0
  return connection.requests - (incompleteRequestOf(connection) ? 1 : 0)
}
