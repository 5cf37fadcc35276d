import type { Origin, Rebalance } from '../../ipc/messages.ts'
import { handleOf } from '../../node-internals/tcp-handle.ts'
import {
  type Connection,
  type ConnectionObserver,
  isQuiescent,
  lastRequestOf,
  pauseReading,
  resumeReading
} from '../connections/connection.ts'
import { CHEAP_CHECK_CONNECTIONS, type Connections } from '../connections/connections.ts'
import { MAX_IN_TRANSFER, nextTransferId } from '../transfer/transfer-ids.ts'
import { chooseConnections } from './choose-connections.ts'

export interface RebalancerOptions {
  connections: Connections
  /** Sends an idle connection to the primary for the worker `target`. Resolves to false when that failed. */
  send(id: number, handle: unknown, idleMs: number, origin: Origin | undefined, target: number): Promise<boolean>
  /** Called when a rebalance is over. @param moved the number of connections that other workers have now */
  onDone(moved: number): void
}

/** How long requests are counted before connections are chosen, in ms. */
const WATCH_MS = 300
/** How long a chosen connection may take to come between two requests, in ms. */
const MOVE_MS = 1500
/** To find out which connections are idle, all are looked at: with many of them, not more often than this, in ms. */
const CHECK_INTERVAL_MS = 20

/**
 * Gives connections to less busy workers when the primary asks for it. Counts requests for a moment, chooses connections, and
 * catches each one right after a response: it is not read any more, so its next request stays in the kernel and moves with it.
 * Between two rebalances it costs nothing.
 */
export class ConnectionRebalancer implements ConnectionObserver {
  readonly #options: RebalancerOptions
  /** The chosen connections that have not left yet, and the worker that gets each. */
  #targets = new Map<Connection, number>()
  /** Chosen connections that are paused, and perhaps between two requests. */
  readonly #caught = new Set<Connection>()
  /** Connections that the primary has and no other worker has accepted yet, by id. */
  readonly #inTransfer = new Map<number, Connection>()
  #timer: NodeJS.Timeout | undefined
  #check: NodeJS.Timeout | undefined
  #isActive = false
  /** What the primary asked for during another rebalance. */
  #next: Rebalance | undefined
  #stopped = false
  #moved = 0

  constructor(options: RebalancerOptions) {
    this.#options = options
  }

  /** Begins when an earlier rebalance is over. Does nothing after {@link stop}. */
  start(rebalance: Rebalance): void {
    if (this.#stopped) return
    if (this.#isActive) {
      this.#next = rebalance
      return
    }
    this.#isActive = true
    this.#moved = 0
    const before = new Map(this.#eligible().map((connection) => [connection, connection.requests]))
    this.#timer = setTimeout(() => this.#choose(before, rebalance), WATCH_MS)
  }

  /** Ends all of it, because the worker drains. Connections on their way arrive all the same. */
  stop(): void {
    this.#stopped = true
    if (this.#isActive) this.#finish()
  }

  /** To be called when another worker has accepted a connection, or with `lost` when no worker could. */
  onTransferred(id: number, lost = false): void {
    const connection = this.#inTransfer.get(id)
    if (!connection) return
    this.#inTransfer.delete(id)
    if (lost) this.#takeBack(connection)
    else {
      this.#moved++
      connection.end = 'handedOver'
      // Closes the descriptor of this process; the connection lives on in the other worker.
      connection.socket.destroy()
    }
    this.#finishWhenDone()
  }

  onOpened(): void {}

  onAnswered(connection: Connection): void {
    if (!this.#targets.has(connection) || connection.leaving) return
    // A pipeline without an end has no idle moment, so it is paused behind a complete request.
    if (connection.busy === 0 || lastRequestOf(connection)?.complete) pauseReading(connection)
    if (connection.busy === 0) this.#catch(connection)
  }

  onClosed(connection: Connection): void {
    this.#targets.delete(connection)
    this.#caught.delete(connection)
    this.#finishWhenDone()
  }

  #eligible(): Connection[] {
    const { all, awaitingAdminResponse } = this.#options.connections.registry
    return [...all].filter(
      (connection) =>
        connection.raw === connection.socket &&
        !connection.upgraded &&
        !connection.origin?.admin &&
        !awaitingAdminResponse.has(connection)
    )
  }

  #choose(before: ReadonlyMap<Connection, number>, rebalance: Rebalance): void {
    const watched = this.#eligible().map((connection) => ({
      connection,
      // One request that takes the whole time counts too.
      requests: Math.max(connection.requests - (before.get(connection) ?? 0), connection.busy > 0 ? 1 : 0)
    }))
    this.#targets = chooseConnections(watched, rebalance)
    this.#options.connections.registry.observer = this
    this.#timer = setTimeout(() => this.#finish(), MOVE_MS)
    for (const connection of this.#targets.keys()) {
      if (!isQuiescent(connection)) continue
      pauseReading(connection)
      this.#catch(connection)
    }
    this.#finishWhenDone()
  }

  #catch(connection: Connection): void {
    this.#caught.add(connection)
    if (this.#check) return
    const isCheap = this.#options.connections.registry.all.size <= CHEAP_CHECK_CONNECTIONS
    this.#check = setTimeout(() => this.#moveCaught(), isCheap ? 0 : CHECK_INTERVAL_MS)
  }

  #moveCaught(): void {
    this.#check = undefined
    const idle = new Set(this.#options.connections.idle())
    for (const connection of this.#caught) {
      const hasRoom = this.#inTransfer.size < MAX_IN_TRANSFER
      if (hasRoom && idle.has(connection)) void this.#move(connection, this.#targets.get(connection)!)
      // It has half a request, or too many are on their way: it is caught again after its next response.
      else resumeReading(connection)
    }
    this.#caught.clear()
  }

  /** Keeps the descriptor of this process open until another worker has accepted the connection. */
  async #move(connection: Connection, target: number): Promise<void> {
    const { connections, send } = this.#options
    const handle = handleOf(connection.socket)
    if (!handle) return
    const id = nextTransferId()
    this.#targets.delete(connection)
    this.#inTransfer.set(id, connection)
    connection.leaving = true
    connection.socket.setTimeout(0)
    if (await send(id, handle, connections.remainingIdleMs(connection), connection.origin, target)) return
    this.#inTransfer.delete(id)
    this.#takeBack(connection)
    this.#finishWhenDone()
  }

  #takeBack(connection: Connection): void {
    connection.leaving = false
    if (connection.socket.destroyed) return
    connection.socket.setTimeout(this.#options.connections.remainingIdleMs(connection))
    resumeReading(connection)
  }

  #finishWhenDone(): void {
    if (this.#isActive && this.#targets.size + this.#inTransfer.size === 0) this.#finish()
  }

  /** What has not left by now stays. */
  #finish(): void {
    const { registry } = this.#options.connections
    clearTimeout(this.#timer)
    clearTimeout(this.#check)
    this.#check = undefined
    if (registry.observer === this) registry.observer = undefined
    for (const connection of this.#targets.keys()) if (!connection.leaving) resumeReading(connection)
    this.#targets.clear()
    this.#caught.clear()
    this.#isActive = false
    this.#options.onDone(this.#moved)
    const next = this.#next
    this.#next = undefined
    if (next) this.start(next)
  }
}
