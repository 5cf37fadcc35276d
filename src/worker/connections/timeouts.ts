import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Connection } from './connection.ts'

// A process that stood still, for want of CPU, hears of time-outs first, and reads only then what came in time.

/** Calls back when what has arrived is read, unless that made a request whole. */
export function afterPendingInput(connection: Connection | undefined, end: () => void): void {
  // What is missing of a request may have arrived: it is the worker that does not read.
  if (connection?.paused) return
  const before = wholeOf(connection)
  setImmediate(() => wholeOf(connection) === before && end())
}

/** Ends a connection that was idle for its time, in node's place: its next request may have arrived. */
export function timedOut(socket: Socket, connection: Connection | undefined): void {
  if (connection?.busy === 0 && !connection.leaving) {
    const { bytesRead } = socket
    setImmediate(() => socket.bytesRead === bytesRead && socket.destroy())
    return
  }
  // A route that has set a time-out of its own says what is to be done.
  const answer = (socket as Socket & { _httpMessage?: ServerResponse | null })._httpMessage
  if (!answer?.listenerCount('timeout') && !connection?.lastRequest?.listenerCount('timeout')) socket.destroy()
}

/** Requests that have arrived to their end. */
const wholeOf = (connection: Connection | undefined): number =>
  connection ? connection.requests - (connection.lastRequest?.complete === false ? 1 : 0) : 0
