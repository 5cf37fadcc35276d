import type { IncomingMessage } from 'node:http'
import { constants, type ServerHttp2Session } from 'node:http2'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Request, Response } from '../../node-internals/http2-messages.ts'
import { type Connection, type Http2Control, KEEP_ALIVE_BUFFER_MS } from '../connections/connection.ts'
import { SendProgress, type SlowClientLimits } from '../connections/send-progress.ts'
import { isLate } from '../connections/timeouts.ts'

/** How long to read on after the end of a session, so that late bytes cause no reset. In ms. */
const LINGER_MS = 2000
/** Before GOAWAY, a client has this long, and two round trips, to send a request after its last response. In ms. */
const SETTLE_MS = 25
/** A session that stays busy gets GOAWAY after this time, in ms. */
const MAX_SETTLE_MS = 1000

/** What a session needs from the connections of its worker. */
export interface Http2Hooks {
  onReceived(): void
  onAnswered(connection: Connection): void
  /** Whether the connection closes after the requests that it has sent. */
  isEnding(connection: Connection): boolean
}

/** A request that is not answered yet. */
interface OpenRequest {
  response: Response
  /** When it came, in ms of `performance.now()`. */
  since: number
  /** Set while a part of its response waits for the client. */
  progress: SendProgress | undefined
}

/** One connection that speaks HTTP/2. */
export class Http2Session implements Http2Control {
  readonly #session: ServerHttp2Session
  readonly #connection: Connection
  readonly #hooks: Http2Hooks
  /** Oldest first. */
  readonly #open = new Map<Request, OpenRequest>()
  /** Requests that came after the session began to end. They start when GOAWAY is sent. */
  #held: (() => void)[] | undefined
  /** Grows with every request that comes and every response that ends. */
  #activity = 0

  constructor(session: ServerHttp2Session, connection: Connection, hooks: Http2Hooks) {
    this.#session = session
    this.#connection = connection
    this.#hooks = hooks
  }

  get open(): IncomingMessage[] {
    return [...this.#open.keys()] as unknown as IncomingMessage[]
  }

  /** @param begin gives the request to the app */
  receive(request: Request, response: Response, begin: () => void): void {
    const connection = this.#connection
    this.#activity++
    this.#hooks.onReceived()
    connection.requests++
    connection.busy++
    this.#open.set(request, { response, since: performance.now(), progress: undefined })
    response.once('close', () => this.#onAnswered(request))
    // One turn later, so that requests that came together start together.
    if (this.#hooks.isEnding(connection)) setImmediate(() => this.close())
    if (this.#held) this.#held.push(() => response.stream.destroyed || begin())
    else begin()
  }

  #onAnswered(request: Request): void {
    const connection = this.#connection
    this.#open.delete(request)
    this.#activity++
    connection.busy--
    connection.idleSince = performance.now()
    if (connection.busy === 0 && connection.leaving) {
      connection.end = 'answered'
      this.#linger()
    }
    this.#hooks.onAnswered(connection)
  }

  /**
   * Ends the session. GOAWAY refuses requests that are on their way, and Node cannot send the first of the two GOAWAY frames
   * that would announce it. So for a moment no request starts: clients that wait for a response before their next request
   * then have nothing on its way.
   */
  close(): void {
    if (this.#held || this.#connection.leaving) return
    this.#held = []
    void this.#settle().then(() => this.#goAway())
  }

  /** Resolves when no request came and no response ended for two round trips, or after {@link MAX_SETTLE_MS}. */
  async #settle(): Promise<void> {
    const deadline = performance.now() + MAX_SETTLE_MS
    let before: number
    do {
      before = this.#activity
      await this.#roundTrip()
      await sleep(SETTLE_MS)
      // A client whose process was busy reads its responses, and sends its next requests, before it answers this PING.
      await this.#roundTrip()
    } while (before !== this.#activity && performance.now() < deadline)
  }

  /** Resolves when the client has answered a PING, or after {@link MAX_SETTLE_MS}. */
  #roundTrip(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#session.destroyed) {
        resolve()
        return
      }
      const timer = setTimeout(resolve, MAX_SETTLE_MS)
      const sent = this.#session.ping(() => {
        clearTimeout(timer)
        resolve()
      })
      if (!sent) resolve()
    })
  }

  /** Sends GOAWAY and starts the held requests. The connection ends with the last response. */
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
   * Enforces timeouts that Node does not have. A session that a flood of resets ended is closed here too: Node 20 leaves its
   * socket open and reads it no more.
   */
  enforceTimeouts(now: number, limits: SlowClientLimits): void {
    const { busy, requests, idleSince } = this.#connection
    const { keepAliveMs, headersMs, requestMs } = limits
    const maxIdleMs = requests === 0 ? headersMs : keepAliveMs + KEEP_ALIVE_BUFFER_MS
    if (busy === 0 && now - idleSince > maxIdleMs) this.#goAway()
    for (const [request, open] of this.#open) {
      const { stream } = request
      const isComplete = stream.endAfterHeaders || stream.state.remoteClose === 1
      const isOver = !isComplete && isLate(request as unknown as IncomingMessage, now - open.since, requestMs)
      if (isOver || this.#isTooSlow(open, now, limits)) stream.close(constants.NGHTTP2_CANCEL)
    }
  }

  /** Measures the stream and not the connection: responses to PING frames are no progress. */
  #isTooSlow(open: OpenRequest, now: number, limits: SlowClientLimits): boolean {
    const { sentBytes, unsentBytes } = open.response
    if (limits.sendMs === 0 || unsentBytes === 0) open.progress = undefined
    else if (open.progress) return open.progress.isTooSlow(sentBytes, now, limits)
    else open.progress = new SendProgress(sentBytes, now)
    return false
  }

  #linger(): void {
    const { raw } = this.#connection
    const timer = setTimeout(() => raw.destroy(), LINGER_MS)
    raw.once('close', () => clearTimeout(timer))
  }
}
