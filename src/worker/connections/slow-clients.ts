import { type Connection, handleOf, KEPT_LONGER_MS } from './connection.ts'
import { afterPendingInput } from './timeouts.ts'

const LOOK_MS = 500
/** Node looks so often for heads and bodies that are late, and has an answer for them. */
const NODE_LOOKS_MS = 1000

/** How fast a client takes what is to be sent to it: on a connection of HTTP/1.1, or on one stream of HTTP/2. */
export class Intake {
  #taken: number
  #progressAt: number
  /** The period in which the rate is measured. */
  #period: { from: number; since: number }

  /** @param taken bytes so far @param now in ms of `performance.now()` */
  constructor(taken: number, now: number) {
    this.#taken = taken
    this.#progressAt = now
    this.#period = { from: taken, since: now }
  }

  /** @returns whether the client took nothing for `sendMs`, or in a period of `sendMs` less than `sendRate` asks for */
  isTooSlow(taken: number, now: number, { sendMs, sendRate }: Pick<Patience, 'sendMs' | 'sendRate'>): boolean {
    if (taken !== this.#taken) {
      this.#taken = taken
      this.#progressAt = now
    }
    if (now - this.#progressAt >= sendMs) return true
    const { from, since } = this.#period
    if (now - since < sendMs) return false
    this.#period = { from: taken, since: now }
    return taken - from < (sendRate * (now - since)) / 1000
  }
}

export interface Patience {
  /** A client may take nothing of its answer for so long; 0: for ever. */
  sendMs: number
  /** Bytes a second that a client must take meanwhile; 0: one byte is enough. */
  sendRate: number
  keepAliveMs: number
  headersMs: number
  /** Node sees to it for HTTP/1.1. */
  requestMs: number
}

function cut(connection: Connection): void {
  connection.end = 'cut'
  // Not an end in order: what is not taken would stay in the kernel for minutes.
  connection.raw.resetAndDestroy()
}

/**
 * Ends what node would keep for ever. Connections whose clients take nothing of a response for too long, or too little; of
 * HTTP/2 only the stream ends. And those whose clients send line feeds, which may come before a request: each winds up the
 * timeout of an idle connection again.
 */
export function cutSlowClients(connections: Iterable<Connection>, patience: Patience): NodeJS.Timeout {
  const intakes = new WeakMap<Connection, Intake>()
  const betweenMs = patience.keepAliveMs + KEPT_LONGER_MS + patience.headersMs + NODE_LOOKS_MS

  const takesTooLittle = (connection: Connection, now: number) => {
    const { socket, raw } = connection
    const handle = handleOf(raw)
    if (socket.writableLength === 0 || !handle) return void intakes.delete(connection)
    const taken = handle.bytesWritten - handle.writeQueueSize
    const intake = intakes.get(connection)
    if (intake) return intake.isTooSlow(taken, now, patience)
    return void intakes.set(connection, new Intake(taken, now))
  }
  const asksNothing = ({ busy, upgraded, idleSince }: Connection, now: number) =>
    busy === 0 && !upgraded && now - idleSince > betweenMs

  return setInterval(() => {
    const now = performance.now()
    for (const connection of connections) {
      connection.http2?.endWhatIsLate(now, patience)
      if (patience.sendMs > 0 && takesTooLittle(connection, now)) cut(connection)
      else if (asksNothing(connection, now)) afterPendingInput(connection, () => cut(connection))
    }
  }, LOOK_MS).unref()
}
