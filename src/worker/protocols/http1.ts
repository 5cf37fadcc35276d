import type { RequestListener, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { http } from '../../common/node-http.ts'
import { allowHalfOpen, createResponseClass } from '../../node-internals/http-server.ts'
import { connectionOf, KEEP_ALIVE_BUFFER_MS } from '../connections/connection.ts'
import { onSocketTimeout } from '../connections/timeouts.ts'

export interface Http1Options {
  keepAliveMs: number
  headersMs: number
  requestMs: number
  headerBytes: number
}

/** Whether Node keeps idle connections longer than it tells clients: since 22.19 and 24.6. */
export const NODE_HAS_KEEP_ALIVE_BUFFER = 'keepAliveTimeoutBuffer' in http.createServer()

/**
 * Creates Node's HTTP/1.1 server with the limits of this service.
 * @param isLast whether a response ends its connection; called when the header block is written
 */
export function createHttp1(
  options: Http1Options,
  isLast: (response: ServerResponse) => boolean,
  listener: RequestListener
): Server {
  const server = http.createServer(
    {
      keepAliveTimeout: options.keepAliveMs,
      // An option that older versions do not know.
      ...{ keepAliveTimeoutBuffer: KEEP_ALIVE_BUFFER_MS },
      headersTimeout: options.headersMs,
      requestTimeout: options.requestMs,
      connectionsCheckingInterval: 500,
      maxHeaderSize: options.headerBytes,
      // The app refuses requests without Host, with an error like all others.
      requireHostHeader: false,
      ServerResponse: createResponseClass(isLast)
    },
    listener
  )
  // Node would silently drop header fields above a number of its own; the app counts them.
  server.maxHeadersCount = 0
  server.on('timeout', (socket: Socket) => onSocketTimeout(socket, connectionOf(socket)))
  allowHalfOpen(server)
  return server
}
