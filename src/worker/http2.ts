import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { constants, createServer, type Http2Server, type ServerHttp2Session } from 'node:http2'
import { continueWhenRead } from '../http/expectations.ts'
import { type Connection, KEPT_LONGER_MS } from './connection.ts'
import { namesItsSocket, Request, Response } from './http2-messages.ts'
import { Intake, type Patience } from './slow-clients.ts'

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

/** A request that is not answered yet. */
interface Open {
  response: Response
  /** When it came, in ms of `performance.now()`. */
  since: number
  /** While some of its response waits to be taken. */
  intake: Intake | undefined
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
  /** Requests not answered yet, the oldest first. */
  readonly #open = new Map<Request, Open>()

  constructor(session: ServerHttp2Session, connection: Connection, hooks: Http2Hooks) {
    this.#session = session
    this.#connection = connection
    this.#hooks = hooks
  }

  /** Requests not answered yet, the oldest first. */
  get open(): IncomingMessage[] {
    return [...this.#open.keys()] as unknown as IncomingMessage[]
  }

  received(request: Request, response: Response): void {
    const connection = this.#connection
    this.#hooks.received()
    connection.requests++
    connection.busy++
    this.#open.set(request, { response, since: performance.now(), intake: undefined })
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
  endWhatIsLate(now: number, patience: Patience): void {
    const { busy, requests, idleSince } = this.#connection
    const { keepAliveMs, headersMs, requestMs } = patience
    if (busy === 0 && now - idleSince > (requests === 0 ? headersMs : keepAliveMs + KEPT_LONGER_MS)) this.close()
    for (const [{ stream }, open] of this.#open) {
      const isWhole = stream.endAfterHeaders || stream.state.remoteClose === 1
      const isLate = !isWhole && now - open.since > requestMs
      if (isLate || this.#isTakenTooSlowly(open, now, patience)) stream.close(constants.NGHTTP2_CANCEL)
    }
  }

  /** By the stream, not by the connection: what a client is sent for its PINGs is no progress. */
  #isTakenTooSlowly(open: Open, now: number, patience: Patience): boolean {
    const { taken, unsent } = open.response
    if (patience.sendMs === 0 || unsent === 0) open.intake = undefined
    else if (open.intake) return open.intake.isTooSlow(taken, now, patience)
    else open.intake = new Intake(taken, now)
    return false
  }

  #linger(): void {
    const { raw } = this.#connection
    const timer = setTimeout(() => raw.destroy(), LINGER_MS)
    raw.once('close', () => clearTimeout(timer))
  }
}
