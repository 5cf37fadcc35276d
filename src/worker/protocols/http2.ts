import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { constants, createServer, type Http2Server, type ServerHttp2Session } from 'node:http2'
import { setTimeout as sleep } from 'node:timers/promises'
import { continueWhenRead } from '../../http/plugins/limits/expectations.ts'
import { type Connection, KEPT_LONGER_MS } from '../connections/connection.ts'
import { Intake, type Patience } from '../connections/slow-clients.ts'
import { namesItsSocket, Request, Response } from './http2-messages.ts'

/** Requests of one connection at once. */
const MOST_STREAMS = 100
/** After the end of a session, how long to go on reading, so that late bytes provoke no reset. In ms. */
const LINGER_MS = 2000
/** Before GOAWAY, a client has so long to ask again after its last answer, in ms; it has two round trips more. */
const SETTLE_MS = 25
/** A session that does not settle gets GOAWAY all the same, in ms. */
const MAX_SETTLE_MS = 1000

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
        const begin = () => handler(request as unknown as IncomingMessage, response as unknown as ServerResponse)
        const session = sessions.get(request.stream.session as object)
        if (session) session.received(request, response, begin)
        else begin()
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
  /** Requests that came since the session began to end. They are begun when GOAWAY is sent. */
  #held: (() => void)[] | undefined
  /** Grows with every request that comes and with every response that ends. */
  #activity = 0

  constructor(session: ServerHttp2Session, connection: Connection, hooks: Http2Hooks) {
    this.#session = session
    this.#connection = connection
    this.#hooks = hooks
  }

  /** Requests not answered yet, the oldest first. */
  get open(): IncomingMessage[] {
    return [...this.#open.keys()] as unknown as IncomingMessage[]
  }

  /** @param begin gives the request to the app */
  received(request: Request, response: Response, begin: () => void): void {
    const connection = this.#connection
    this.#activity++
    this.#hooks.received()
    connection.requests++
    connection.busy++
    this.#open.set(request, { response, since: performance.now(), intake: undefined })
    response.once('close', () => {
      this.#open.delete(request)
      this.#activity++
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
    if (this.#held) this.#held.push(() => response.stream.destroyed || begin())
    else begin()
  }

  /**
   * Ends the session. GOAWAY refuses requests that cross it on the way, and node cannot send the one that announces another.
   * So no request is begun for a moment: clients that wait for an answer before they ask again have then nothing on the way.
   */
  close(): void {
    if (this.#held || this.#connection.leaving) return
    this.#held = []
    void this.#settle().then(() => this.#goAway())
  }

  /** Resolves when no request has come and no response has ended for two round trips, or after {@link MAX_SETTLE_MS}. */
  async #settle(): Promise<void> {
    const deadline = performance.now() + MAX_SETTLE_MS
    let before: number
    do {
      before = this.#activity
      await this.#roundTrip()
      await sleep(SETTLE_MS)
      // A client whose process was busy reads what came meanwhile, and asks, before it answers this one.
      await this.#roundTrip()
    } while (before !== this.#activity && performance.now() < deadline)
  }

  /** Resolves when the client has answered a PING; without an answer after {@link MAX_SETTLE_MS}. */
  #roundTrip(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#session.destroyed) return resolve()
      const timer = setTimeout(resolve, MAX_SETTLE_MS)
      const sent = this.#session.ping(() => {
        clearTimeout(timer)
        resolve()
      })
      if (!sent) resolve()
    })
  }

  /** What has begun is answered, nothing else begins, and with the last answer the connection ends. */
  #goAway(): void {
    const connection = this.#connection
    if (connection.leaving) return
    connection.leaving = true
    this.#session.close()
    const held = this.#held ?? []
    this.#held = undefined
    for (const begin of held) begin()
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
    if (busy === 0 && now - idleSince > (requests === 0 ? headersMs : keepAliveMs + KEPT_LONGER_MS)) this.#goAway()
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
