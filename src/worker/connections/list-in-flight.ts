import { describeRequest } from '../../http/plugins/log/in-flight.ts'
import { IN_FLIGHT, type InFlight } from '../../ipc/messages.ts'
import type { Connection } from './connection.ts'

const MOST = 100

/**
 * Requests received and not answered yet, 100 at most, the youngest first: the one that blocks an event loop is the last
 * that it took. Of a pipelined burst only the last one.
 */
export function listInFlight(connections: Iterable<Connection>): InFlight[] {
  return [...connections]
    .flatMap(({ busy, lastRequest, http2 }) => http2?.open ?? (busy > 0 && lastRequest ? [lastRequest] : []))
    .map(describeRequest)
    .sort((a, b) => a.ageMs - b.ageMs)
    .slice(0, MOST)
}

/** Lets the primary's black box ask, through the debugger, when this event loop turns no more. */
export function exposeInFlight(connections: Iterable<Connection>): void {
  Object.assign(globalThis, { [IN_FLIGHT]: () => JSON.stringify(listInFlight(connections)) })
}
