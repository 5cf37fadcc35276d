import type { ServerResponse } from 'node:http'
import { describeRequest } from '../../http/plugins/log/in-flight.ts'
import type { ConnectionKind, CutReason, WaitsFor } from '../../ipc/drain-report.ts'
import { sentHead } from '../../node-internals/http-server.ts'
import { type Connection, currentResponseOf, incompleteRequestOf } from '../connections/connection.ts'

/** @returns what the connection does; of a pipeline or a connection of HTTP/2, what its oldest request does */
export function kindOf(connection: Connection): ConnectionKind {
  if (connection.upgraded) return 'socket'
  if (connection.http2) return connection.http2.open.map(kindOfStream)[0] ?? 'idle'
  if (connection.busy === 0) return 'idle'
  const response = currentResponseOf(connection)
  if (response && isEventStream(response)) return 'stream'
  if (incompleteRequestOf(connection)) return 'upload'
  return response?.headersSent ? 'download' : 'request'
}

/** Records why a connection is about to be cut, and what it was doing. */
export function markCut(connection: Connection, reason: CutReason): void {
  connection.end = 'cut'
  connection.cut = { kind: kindOf(connection), reason }
}

/** Counts what the connections do, and finds the oldest of their requests. */
export function countRemaining(connections: Iterable<Connection>): WaitsFor {
  const counts: WaitsFor['counts'] = {}
  let oldestMs = 0
  for (const connection of connections) {
    const kinds = connection.http2?.open.map(kindOfStream) ?? [kindOf(connection)]
    for (const kind of kinds) counts[kind] = (counts[kind] ?? 0) + 1
    oldestMs = Math.max(oldestMs, ageOf(connection))
  }
  return { counts, oldestMs: Math.round(oldestMs) }
}

/** Whether the response is a stream of server-sent events, which ends only when the app or the client ends it. */
const isEventStream = (response: ServerResponse) => /^content-type: *text\/event-stream/im.test(sentHead(response))

const kindOfStream = ({ complete }: { complete: boolean }): ConnectionKind => (complete ? 'request' : 'upload')

/** In ms. */
function ageOf({ http2, responses, idleSince }: Connection): number {
  const requests = http2?.open ?? responses.slice(0, 1).map(({ req }) => req)
  if (requests.length === 0) return performance.now() - idleSince
  return Math.max(...requests.map((request) => describeRequest(request).ageMs))
}
