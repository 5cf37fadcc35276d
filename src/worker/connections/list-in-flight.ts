import { describeRequest } from '../../http/plugins/log/in-flight.ts'
import { IN_FLIGHT, type InFlight } from '../../ipc/messages.ts'
import { type Connection, lastRequestOf } from './connection.ts'

const MAX_LISTED = 100

/**
 * Lists requests received and not answered, youngest first, 100 at most: the request that blocks an event loop is the last
 * one that it started. Of a pipelined burst only the last request is listed.
 */
export function listInFlight(connections: Iterable<Connection>): InFlight[] {
  return [...connections]
    .flatMap((connection) => connection.http2?.open ?? lastRequestOf(connection) ?? [])
    .map(describeRequest)
    .sort((a, b) => a.ageMs - b.ageMs)
    .slice(0, MAX_LISTED)
}

/** Defines the global function that a hang report calls through the debugger while this event loop does not turn. */
export function exposeInFlight(connections: Iterable<Connection>): void {
  Object.assign(globalThis, { [IN_FLIGHT]: () => JSON.stringify(listInFlight(connections)) })
}
