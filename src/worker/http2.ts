import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { constants, createServer, type Http2Server, type ServerHttp2Session } from 'node:http2'
import { continueWhenRead } from '../http/expectations.ts'
import { type Connection, KEPT_LONGER_MS } from './connection.ts'
import { namesItsSocket, Request, Response } from './http2-messages.ts'

/** Requests of one connection at once. */
const MOST_STREAMS = 100
/** After the end of a session, how long to go on reading, so that late bytes provoke no reset. In ms. */
const LINGER_MS = 2000

/** What HTTP/2 asks of whoever keeps the connections. */
export interface Http2Hooks {
  received(): void
  quiet(connection: Connection): void
  /** Whether the connection is to end with what it has received. */
  isEnding(connection: Connection): boolean
}

export interface Http2Patience {
  keepAliveMs: number
  headersMs: number
  requestMs: number
}

/** The HTTP/2 of a worker, over connections whose client has asked for it. */
export class Http2 {
  readonly #server: Http2Server<typeof IncomingMessage, typeof ServerResponse, typeof Request, typeof Response>
  #opening: Connection | undefined

  /** @param handler the app's; node's requests of HTTP/2 do what those of HTTP/1.1 do, but for their types */
  constructor(headerBytes: number, handler: RequestListener, hooks: Http2Hooks) {
    const sessions = new WeakMap<object, Http2Session>()
    this.#server = createServer(
      {
        settings: { maxConcurrentStreams: MOST_STREAMS, maxHeaderListSize: headerBytes },
        Http2ServerRequest: Request,
        Http2ServerResponse: Response
      },
      (request, response) => {
        sessions.get(request.stream.session as object)?.received(request, response)
        handler(request as unknown as IncomingMessage, response as unknown as ServerResponse)
      }
    )
    this.#server.on('checkContinue', (request, response) => {
      continueWhenRead(request as unknown as IncomingMessage, response as unknown as ServerResponse)
      this.#server.emit('request', request, response)
    })
    this.#server.on('session', (session) => {
      const connection = this.#opening as Connection
      namesItsSocket(session, connection.socket)
      connection.http2 = new Http2Session(session, connection, hooks)
      sessions.set(session, connection.http2)
    })
  }

  /** Begins to speak it. */
  open(connection: Connection): void {
    // As node's own secure server has it: half of a session is of no use.
    connection.socket.allowHalfOpen = false
    this.#opening = connection
    this.#server.emit('connection', connection.socket)
  }

  /** Other events of node's server, as those of its HTTP/1.1 server. */
  on(event: 'checkExpectation', listener: RequestListener): void {
    this.#server.on(event, listener as unknown as (request: Request, response: Response) => void)
  }
}

/** One connection that speaks HTTP/2. */
export class Http2Session {
  readonly #session: ServerHttp2Session
  readonly #connection: Connection
  readonly #hooks: Http2Hooks
  /** Requests not answered yet, and when they came. */
  readonly #open = new Map<Request, number>()

  constructor(session: ServerHttp2Session, connection: Connection, hooks: Http2Hooks) {
    this.#session = session
    this.#connection = connection
    this.#hooks = hooks
  }

  /** Requests not answered yet, the oldest first. */
  get open(): IncomingMessage[] {
    return [...this.#open.keys()] as unknown as IncomingMessage[]
  }

  /** What of the answers is still to be sent, in bytes. */
  get unsent(): number {
    let bytes = 0
    for (const { stream } of this.#open.keys()) bytes += stream.writableLength
    return bytes
  }

  received(request: Request, response: Response): void {
    const connection = this.#connection
    this.#hooks.received()
    connection.requests++
    connection.busy++
    this.#open.set(request, performance.now())
    response.once('close', () => {
      this.#open.delete(request)
      connection.busy--
      connection.idleSince = performance.now()
      if (connection.busy === 0 && connection.leaving) {
        connection.end = 'answered'
        this.#linger()
      }
      this.#hooks.quiet(connection)
    })
    // One turn later, so that what came together is begun together.
    if (this.#hooks.isEnding(connection)) setImmediate(() => this.close())
  }

  /** GOAWAY: what has begun is answered, nothing else begins, and with the last answer the connection ends. */
  close(): void {
    const connection = this.#connection
    if (connection.leaving) return
    connection.leaving = true
    this.#session.close()
    if (connection.busy > 0) return
    connection.end = 'idle'
    this.#linger()
  }

  /**
   * What node has no time-outs for. Of a session that was ended by a flood of resets, Node 20 leaves the socket open and
   * reads it no more: that ends here, too.
   * @param now in ms of `performance.now()`
   */
  endWhatIsLate(now: number, { keepAliveMs, headersMs, requestMs }: Http2Patience): void {
    const { busy, requests, idleSince } = this.#connection
    if (busy === 0 && now - idleSince > (requests === 0 ? headersMs : keepAliveMs + KEPT_LONGER_MS)) this.close()
    for (const [{ stream }, since] of this.#open) {
      if (now - since <= requestMs) return
      const isWhole = stream.endAfterHeaders || stream.state.remoteClose === 1
      if (!isWhole) stream.close(constants.NGHTTP2_CANCEL)
    }
  }

  #linger(): void {
    const { raw } = this.#connection
    const timer = setTimeout(() => raw.destroy(), LINGER_MS)
    raw.once('close', () => clearTimeout(timer))
  }
}
