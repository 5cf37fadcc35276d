import { markTransferred } from '../../http/transferable.ts'
import type { Origin, Resume } from '../../ipc/messages.ts'
import { type TRANSFER_PROTOCOL, transferStep } from '../../ipc/transfer-protocol.ts'
import { type ConnectionHandle, takeHandle } from '../../node-internals/tcp-handle.ts'
import type { Connection } from '../connections/connection.ts'
import type { ConnectionDetails } from '../connections/connection-registry.ts'
import type { Exchange } from './exchange.ts'
import { MAX_IN_TRANSFER } from './transfer-ids.ts'

export interface ExchangeTransfersOptions {
  connections: Iterable<Connection>
  /** Sends an exchange to the primary. Resolves to false when the primary is gone. */
  send(id: number, handle: unknown, origin: Origin | undefined, resume: Resume): Promise<boolean>
  /** Continues an exchange in this worker, because no other can. */
  takeBack(handle: ConnectionHandle, details: ConnectionDetails): void
  nextId(): number
}

type OfferEvent = keyof (typeof TRANSFER_PROTOCOL)['old']['offered']

interface Offered {
  handle: ConnectionHandle
  origin: Origin | undefined
  resume: Resume
}

/** Moves the exchanges in progress of a worker that drains to other workers. */
export class ExchangeTransfers {
  readonly #options: ExchangeTransfersOptions
  /** Exchanges that the primary has and no other worker has accepted yet, by id. */
  readonly #offered = new Map<number, Offered>()
  /** Exchanges that are made to stand still. */
  #preparing = 0
  /** Exchanges that other workers have accepted. */
  arrived = 0
  /** What the last search found and is not under way. */
  candidates: Connection[] = []

  constructor(options: ExchangeTransfersOptions) {
    this.#options = options
  }

  /** File descriptors that belong to no connection of this worker any more, and not yet to another worker. */
  get pending(): number {
    return this.#offered.size
  }

  /** Looks at every exchange, and tells those that never can move that they stay. */
  search(): void {
    this.candidates = []
    for (const connection of this.#options.connections) {
      const { exchange } = connection
      if (!exchange || connection.leaving) continue
      const { readiness } = exchange
      if (readiness === 'never') stay(connection)
      else if (readiness === 'ready') this.candidates.push(connection)
    }
  }

  /** Moves what the last search found, as far as it is still ready, and not too much at once. */
  moveCandidates(): void {
    while (this.candidates.length > 0 && this.#offered.size + this.#preparing < MAX_IN_TRANSFER) {
      const connection = this.candidates.pop()!
      const { exchange } = connection
      if (exchange?.readiness === 'ready' && !connection.leaving) void this.#move(connection, exchange)
    }
  }

  /** Nothing moves any more: the exchanges end in this worker. */
  stayAll(): void {
    this.candidates = []
    for (const connection of this.#options.connections) if (connection.exchange) stay(connection)
  }

  /**
   * To be called when another worker has accepted an exchange, or with `refused` when none could.
   * @returns whether the id is one of an exchange
   */
  onAnswer(id: number, refused: boolean): boolean {
    return this.#end(id, refused ? 'refused' : 'accepted')
  }

  /** Closes what is on its way. It may be with its next worker already, so that this one must not use it. */
  abandon(event: 'primary-died' | 'late'): void {
    for (const id of [...this.#offered.keys()]) this.#end(id, event)
  }

  async #move(connection: Connection, exchange: Exchange): Promise<void> {
    const { socket, origin } = connection
    connection.leaving = true
    this.#preparing++
    const isPrepared = await exchange.prepare().finally(() => this.#preparing--)
    if (socket.destroyed) return
    if (!isPrepared) {
      connection.leaving = false
      stay(connection)
      return
    }
    // From here on nothing is read or written. The handler learns it as if its client had left.
    connection.end = 'handedOver'
    markTransferred(exchange.request)
    const handle = takeHandle(socket)
    if (!handle) return
    const resume = exchange.describe()
    const id = this.#options.nextId()
    this.#offered.set(id, { handle, origin, resume })
    if (!(await this.#options.send(id, handle, origin, resume))) this.#end(id, 'not-sent')
  }

  #end(id: number, event: OfferEvent): boolean {
    const offered = this.#offered.get(id)
    if (!offered) return false
    this.#offered.delete(id)
    if (event === 'accepted') this.arrived++
    const { handle, origin, resume } = offered
    if (transferStep('old', 'offered', event).action === 'take-back')
      this.#options.takeBack(handle, { idleMs: 0, origin, resume, takenBack: true })
    else handle.close()
    return true
  }
}

function stay(connection: Connection): void {
  connection.exchange?.stay()
  connection.exchange = undefined
}
