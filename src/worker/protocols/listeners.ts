import type { Server } from 'node:http'
import { createServer, type Server as NetServer, type Socket } from 'node:net'
import { sendFinalAnswer } from '../../http/final-answer.ts'
import type { RefusalReason } from '../connections/admission.ts'
import { connectionOf, setConnection } from '../connections/connection.ts'
import type { ConnectionRegistry } from '../connections/connection-registry.ts'
import { inheritPeer, isReset } from '../connections/peer-address.ts'
import type { RequestTracker } from '../connections/request-tracker.ts'
import { watchHalfClosed } from './half-closed.ts'
import { Http2 } from './http2.ts'
import { createTls, type Tls, type TlsOptions } from './tls.ts'

/** Registers the connections of the HTTP/1.1 server before Node's parser gets them. */
export function registerConnections(server: Server, registry: ConnectionRegistry): void {
  server.prependListener('connection', (socket: Socket) => {
    const registered = registry.register(socket)
    if (typeof registered === 'string') refuse(socket, registered)
    else watchHalfClosed(socket)
  })
}

/**
 * Creates TLS in front of the HTTP/1.1 server, and HTTP/2 for clients that choose it. Connections are counted from their
 * start; HTTP gets them after the handshake.
 * @returns a server that connections are emitted to
 */
export function createSecureListener(
  http1: Server,
  registry: ConnectionRegistry,
  tracker: RequestTracker,
  options: TlsOptions & { headerBytes: number }
): { listener: NetServer; tls: Tls } {
  const http2 = new Http2(options.headerBytes, (request, response) => tracker.handler(request, response), {
    onReceived: () => void tracker.total++,
    onAnswered: (connection) => registry.observer?.onAnswered(connection),
    isEnding: ({ raw }) => tracker.isEnding(raw)
  })
  http2.on('checkExpectation', (request, response) => http1.emit('checkExpectation', request, response))
  const tls = createTls(options, (socket, raw) => {
    const connection = connectionOf(raw)
    if (!connection) return
    connection.socket = socket
    setConnection(socket, connection)
    inheritPeer(socket, raw)
    if (isReset(socket)) {
      socket.destroy()
    } else if (socket.alpnProtocol === 'h2') {
      http2.open(connection)
    } else {
      watchHalfClosed(socket)
      http1.emit('connection', socket)
    }
  })
  const listener = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    // A refusal in words would need a handshake, which is the cost that the limit avoids.
    if (typeof registry.register(socket) === 'string') socket.destroy()
    else tls.begin(socket)
  })
  return { listener, tls }
}

function refuse(socket: Socket, reason: RefusalReason): void {
  const headers = { 'retry-after': '1' }
  if (reason === 'worker')
    sendFinalAnswer(socket, 503, 'TOO_MANY_CONNECTIONS', 'There are too many connections', headers)
  else sendFinalAnswer(socket, 429, 'TOO_MANY_CONNECTIONS', 'There are too many connections of this address', headers)
}
