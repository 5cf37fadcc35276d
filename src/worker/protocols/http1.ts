import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'
import { http } from '../../common/node-http.ts'
import { StaticHeadersResponse } from '../../http/plugins/security/static-headers.ts'
import { KEPT_LONGER_MS } from '../connections/connection.ts'
import type { ServerOptions } from '../connections/connections.ts'
import { allowHalfClosed } from './half-closed.ts'

const KEPT = Symbol('kept')

/**
 * Node's HTTP/1.1 server with the limits of this one.
 * @param isLast whether the answer to this request ends its connection; asked when the head of the answer is written
 */
export function createHttp1(
  options: ServerOptions,
  isLast: (request: IncomingMessage) => boolean,
  listener: RequestListener
): Server {
  const server = http.createServer(
    {
      keepAliveTimeout: options.keepAliveMs,
      // An option that older versions do not know.
      ...{ keepAliveTimeoutBuffer: KEPT_LONGER_MS },
      headersTimeout: options.headersMs,
      requestTimeout: options.requestMs,
      connectionsCheckingInterval: 500,
      maxHeaderSize: options.headerBytes,
      // The app refuses what has none, with an answer like every other.
      requireHostHeader: false,
      ServerResponse: responseClass(isLast)
    },
    listener
  )
  // Fields past a number of node's own would be dropped without a word; the app counts them.
  server.maxHeadersCount = 0
  allowHalfClosed(server)
  return server
}

/** Whether the connection is kept is decided when the header block is written, not when the request came. */
function responseClass(isLast: (request: IncomingMessage) => boolean): typeof ServerResponse {
  class Response<Request extends IncomingMessage = IncomingMessage> extends StaticHeadersResponse<Request> {
    declare [KEPT]: boolean
  }
  Object.defineProperty(Response.prototype, 'shouldKeepAlive', {
    get(this: Response) {
      return this[KEPT] && !isLast(this.req)
    },
    set(this: Response, kept: boolean) {
      this[KEPT] = kept
    }
  })
  return Response
}

/** Which connections the parser finds idle: `closeIdleConnections()` names them, with `destroy` caught for the moment. */
export function idleOf<T extends { readonly socket: object }>(server: Server, connections: Iterable<T>): Set<object> {
  const named = new Set<object>()
  const all = [...connections]
  for (const { socket } of all) {
    Object.assign(socket, {
      destroy(this: object) {
        named.add(this)
        return this
      }
    })
  }
  try {
    server.closeIdleConnections()
  } finally {
    for (const { socket } of all) Reflect.deleteProperty(socket, 'destroy')
  }
  return named
}
