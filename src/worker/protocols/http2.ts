import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { createServer, type Http2Server } from 'node:http2'
import { continueWhenRead } from '../../http/plugins/limits/expectations.ts'
import { Request, Response, setSessionSocket } from '../../node-internals/http2-messages.ts'
import type { Connection } from '../connections/connection.ts'
import { type Http2Hooks, Http2Session } from './http2-session.ts'

/** Concurrent requests of one connection. */
const MAX_STREAMS = 100

/** HTTP/2 over connections whose client chose it by ALPN. */
export class Http2 {
  readonly #server: Http2Server<typeof IncomingMessage, typeof ServerResponse, typeof Request, typeof Response>
  /** The connection whose session is being created; Node emits `session` synchronously. */
  #opening: Connection | undefined

  /** @param handler the app; apart from their types, requests of HTTP/2 behave as those of HTTP/1.1 */
  constructor(headerBytes: number, handler: RequestListener, hooks: Http2Hooks) {
    const sessions = new WeakMap<object, Http2Session>()
    this.#server = createServer(
      {
        settings: { maxConcurrentStreams: MAX_STREAMS, maxHeaderListSize: headerBytes },
        Http2ServerRequest: Request,
        Http2ServerResponse: Response
      },
      (request, response) => {
        const begin = () => handler(request as unknown as IncomingMessage, response as unknown as ServerResponse)
        const session = sessions.get(request.stream.session as object)
        if (session) session.receive(request, response, begin)
        else begin()
      }
    )
    this.#server.on('checkContinue', (request, response) => {
      continueWhenRead(request as unknown as IncomingMessage, response as unknown as ServerResponse)
      this.#server.emit('request', request, response)
    })
    this.#server.on('session', (session) => {
      const connection = this.#opening as Connection
      setSessionSocket(session, connection.socket)
      const created = new Http2Session(session, connection, hooks)
      connection.http2 = created
      sessions.set(session, created)
    })
  }

  /** Starts the session of a connection. */
  open(connection: Connection): void {
    // Node's own secure server does the same: half of a session is of no use.
    connection.socket.allowHalfOpen = false
    this.#opening = connection
    this.#server.emit('connection', connection.socket)
  }

  /** Listens to an event of the server, with requests and responses as those of HTTP/1.1. */
  on(event: 'checkExpectation', listener: RequestListener): void {
    this.#server.on(event, listener as unknown as (request: Request, response: Response) => void)
  }
}
