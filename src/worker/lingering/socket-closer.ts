import type { Connection } from '../connections/connection.ts'

/** Sockets are closed over this time, so that less than a tenth of their clients connect again in any one second. In ms. */
export const CLOSE_SPREAD_MS = 11_000
/** Timers are not more exact; of very many sockets, several are closed at once. */
const MIN_STEP_MS = 10
/** How soon a socket that could not be closed is tried again, and new ones are looked for, in ms. */
const RETRY_MS = 100

/** Whether the connection is a WebSocket that must be closed in a drain. One with an exchange may be transferred instead. */
export const mustClose = ({ webSocket, exchange, leaving, end }: Connection): boolean =>
  webSocket?.isOpen === true && exchange === undefined && !leaving && end === 'left'

/**
 * Closes WebSockets with the code 1012, one after the other. The library that owns the socket finishes the closing handshake
 * when the client answers.
 */
export class SocketCloser {
  readonly #connections: Iterable<Connection>
  readonly #onNoAnswer: (connection: Connection) => void
  #queue: Connection[] = []
  #timer: NodeJS.Timeout | undefined
  #step = { sockets: 0, ms: 0 }
  #answerMs = 0

  /** @param onNoAnswer called when a client has not answered the close frame in time */
  constructor(connections: Iterable<Connection>, onNoAnswer: (connection: Connection) => void) {
    this.#connections = connections
    this.#onNoAnswer = onNoAnswer
  }

  /** Can be called again with other times. @param spreadMs for all sockets @param answerMs for the answer of a client */
  start(spreadMs: number, answerMs: number): void {
    this.#queue = this.#open()
    const count = Math.max(1, this.#queue.length)
    const perMs = count / Math.max(1, spreadMs)
    const sockets = Math.ceil(perMs * MIN_STEP_MS)
    this.#step = { sockets, ms: sockets / perMs }
    this.#answerMs = answerMs
    clearTimeout(this.#timer)
    this.#closeSome()
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  /** The next step waits for this one, so that a stall of the event loop makes no burst. */
  #closeSome(): void {
    const { sockets, ms } = this.#step
    for (let i = 0; i < sockets && this.#queue.length > 0; i++) this.#close(this.#queue.shift()!)
    const isEmpty = this.#queue.length === 0
    if (isEmpty) this.#queue = this.#open()
    this.#timer = setTimeout(() => this.#closeSome(), isEmpty ? Math.max(ms, RETRY_MS) : ms)
  }

  #close(connection: Connection): void {
    if (!mustClose(connection) || !connection.webSocket?.close()) return
    connection.end = 'closed'
    const timer = setTimeout(() => this.#onNoAnswer(connection), this.#answerMs)
    connection.socket.once('close', () => clearTimeout(timer))
  }

  #open(): Connection[] {
    return [...this.#connections].filter(mustClose)
  }
}
