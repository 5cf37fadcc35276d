import { addCuts, type Cut, type WaitsFor } from '../../ipc/drain-report.ts'
import type { DrainReport, Origin, Resume } from '../../ipc/messages.ts'
import { handleOf } from '../../node-internals/tcp-handle.ts'
import { ConnectionEnder, type DrainDeadlines } from '../lingering/connection-ender.ts'
import { countRemaining } from '../lingering/remaining.ts'
import { ExchangeTransfers } from '../transfer/exchange-transfers.ts'
import { MAX_IN_TRANSFER, nextTransferId } from '../transfer/transfer-ids.ts'
import {
  type Connection,
  type ConnectionObserver,
  isQuiescent,
  lastRequestOf,
  pauseReading,
  resumeReading
} from './connection.ts'
import type { ConnectionRegistry } from './connection-registry.ts'
import { CHEAP_CHECK_CONNECTIONS, type Connections } from './connections.ts'

export interface DrainOptions extends DrainDeadlines {
  /**
   * Sends a connection to the primary for another worker; resolves to false when that failed. It is idle without `resume`.
   * Undefined: no worker can take connections, and they are closed in order.
   */
  transfer?:
    | ((id: number, handle: unknown, idleMs: number, origin: Origin | undefined, resume?: Resume) => Promise<boolean>)
    | undefined
  /** Whether another worker can continue what is in progress. */
  resumes?: boolean
  /** The service stops, so that no process accepts on the port any more. */
  portCloses?: boolean
  /** How long idle connections are kept before FIN, in ms; longer than clients were told. */
  graceMs: number
  /** How long to read on after FIN, in ms, so that late bytes cause no reset. */
  lingerMs: number
  /**
   * Called once when the worker lingers: it has transferred what can be transferred, and only clients keep it. Or half of the deadline is
   * over, and no worker has taken the rest yet.
   */
  onSettled?: (waitsFor: WaitsFor, report: DrainReport) => void
}

const CHECK_INTERVAL_MS = 50
/** A drain that ends within this time is one without lingering: most requests are short. */
const SETTLE_MS = 500
/** Looking at all connections takes 20 ms when there are 5,000, so that it must not happen with every answer. In parts of the time. */
const MAX_SEARCH_SHARE = 0.25

/**
 * Empties a worker that accepts no more connections. Idle connections are transferred, busy ones right after their last
 * response. Without a worker to take them, the last response of each says `Connection: close`, and idle connections get FIN
 * after a grace period.
 */
export class Drain implements ConnectionObserver {
  /** Resolves when no connection is left at all. */
  readonly allClosed: Promise<void>
  readonly #connections: Connections
  readonly #registry: ConnectionRegistry
  #options: DrainOptions
  readonly #ender: ConnectionEnder
  readonly #cuts: Cut[] = []
  #startedAt = performance.now()
  #settled = false
  /** Set for good: the last answer to an admin command makes its connection one that the drain would wait for. */
  #hasDrained = false
  readonly #stats = { total: 0, handedOver: 0, answered: 0, closed: 0, idle: 0, left: 0, cut: 0, lost: 0 }
  readonly #drained: Promise<void>
  #resolveDrained!: () => void
  #resolveAllClosed!: () => void
  /** Connections that the last check found idle, with the bytes that they had received by then. */
  #candidates: { connection: Connection; bytesRead: number }[] = []
  /** Connections that the primary has and no other worker has accepted yet, by id. */
  readonly #inTransfer = new Map<number, Connection>()
  readonly #exchanges: ExchangeTransfers
  #checkPlanned = false
  /** When the connections may be searched again for those that can move. */
  #nextSearchAt = 0

  constructor(connections: Connections, options: DrainOptions) {
    this.#connections = connections
    this.#registry = connections.registry
    this.#options = options
    this.#ender = new ConnectionEnder(
      this.#registry,
      () => this.#exchanges.abandon('late'),
      () => this.#exchanges.arrived
    )
    this.#exchanges = new ExchangeTransfers({
      connections: this.#registry.all,
      send: async (id, handle, origin, resume) =>
        (await this.#options.transfer?.(id, handle, 0, origin, resume)) === true,
      takeBack: (handle, details) => connections.acceptor.accept(handle, details),
      nextId: nextTransferId
    })
    this.#drained = new Promise((resolve) => {
      this.#resolveDrained = resolve
    })
    this.allClosed = new Promise((resolve) => {
      this.#resolveAllClosed = resolve
    })
  }

  /** Resolves when no connection is left except those that wait for an admin command, which may outlast the deadline. */
  async run(): Promise<DrainReport> {
    this.#stats.total = this.#registry.all.size
    this.#registry.observer = this
    if (this.#options.transfer) this.#connections.requests.keepsPaused = true
    else this.#connections.announceClose()
    if (!this.#options.transfer) this.#exchanges.stayAll()
    // Connections that become idle are seen at once. The interval is for those whose grace period ends.
    const interval = setInterval(() => this.#planCheck(), CHECK_INTERVAL_MS)
    this.#ender.start(this.#options)
    this.#planCheck()
    void this.allClosed.then(() => clearInterval(interval))
    await this.#drained
    this.#ender.stop()
    return this.#report()
  }

  /** @returns what the worker waits for; undefined until it lingers, and again when it has drained */
  waitsFor(): WaitsFor | undefined {
    return this.#settled && !this.#hasDrained && !this.#isDrained() ? countRemaining(this.#ender.left) : undefined
  }

  /** Cuts what is left in `ms`, because too many workers linger. */
  limit(ms: number): void {
    this.#ender.cutAllIn(ms, 'linger-limit')
  }

  /** To be called when another worker has accepted a connection, or with `lost` when no worker could. */
  onTransferred(id: number, lost = false): void {
    if (this.#exchanges.onAnswer(id, lost)) {
      this.#planCheck()
      return
    }
    const connection = this.#inTransfer.get(id)
    if (!connection) return
    this.#inTransfer.delete(id)
    if (lost && !this.#options.transfer && !connection.socket.destroyed) {
      // The service stops: it is closed in order here.
      connection.leaving = false
      resumeReading(connection)
      return
    }
    connection.end = lost ? 'lost' : 'handedOver'
    // Closes the descriptor of this process; the connection lives on in the other worker.
    connection.socket.destroy()
    this.#transferCandidates()
  }

  /** Continues without transfers and with less time, because the service stops or the primary is gone. */
  hurry(options: DrainOptions): void {
    this.#options = options
    this.#startedAt = performance.now()
    this.#exchanges.stayAll()
    this.#connections.requests.keepsPaused = false
    for (const connection of this.#registry.all) if (!connection.leaving) resumeReading(connection)
    this.#connections.announceClose()
    this.#ender.start(options)
  }

  /** To be called before {@link hurry} when the primary is gone. */
  primaryDied(): void {
    this.#exchanges.abandon('primary-died')
  }

  onOpened(): void {
    this.#stats.total++
    this.#planCheck()
  }

  /**
   * Checks at once where that is cheap: a client that sends requests without a pause has sent its next request by the next
   * turn of the event loop, and would never be found idle.
   */
  onAnswered(connection: Connection): void {
    // A pipeline without an end has no idle moment, so it is paused behind a complete request.
    const { keepsPaused } = this.#connections.requests
    if (keepsPaused && lastRequestOf(connection)?.complete) pauseReading(connection)
    if (connection.busy === 0 && this.#registry.all.size <= CHEAP_CHECK_CONNECTIONS) this.#check()
    else this.#planCheck()
  }

  onClosed(connection: Connection): void {
    this.#stats[connection.end]++
    if (connection.cut) addCuts(this.#cuts, [{ ...connection.cut, count: 1 }])
    if (this.#isDrained()) this.#planCheck()
  }

  #planCheck(): void {
    if (this.#checkPlanned) return
    this.#checkPlanned = true
    setImmediate(() => {
      this.#checkPlanned = false
      this.#check()
    })
  }

  #check(): void {
    if (this.#isDrained()) {
      this.#hasDrained = true
      this.#resolveDrained()
    }
    if (this.#registry.openCount + this.#exchanges.pending === 0) this.#resolveAllClosed()
    else if (this.#options.transfer) {
      this.#search()
      this.#transferCandidates()
      this.#exchanges.moveCandidates()
      if (!this.#isMoving || this.#movesSlowly) this.#settle()
    } else if (performance.now() - this.#startedAt >= this.#options.graceMs) {
      for (const connection of this.#connections.idle()) this.#end(connection)
    }
    // Nothing can be transferred, so nothing is waited for.
    if (!this.#options.transfer) this.#settle()
  }

  /** Finds the connections that can move now, when those that the last search found are under way. */
  #search(): void {
    const startedAt = performance.now()
    if (startedAt < this.#nextSearchAt || this.#candidates.length + this.#exchanges.candidates.length > 0) return
    const idle = this.#connections.idle()
    this.#candidates = idle.map((connection) => ({ connection, bytesRead: connection.socket.bytesRead }))
    if (this.#options.resumes) this.#exchanges.search()
    else this.#exchanges.stayAll()
    const now = performance.now()
    this.#nextSearchAt = now + (now - startedAt) * (1 / MAX_SEARCH_SHARE - 1)
  }

  /** Whether connections are on their way to another worker, or will be once others have arrived. */
  get #isMoving(): boolean {
    const { candidates, pending } = this.#exchanges
    return this.#candidates.length + candidates.length + this.#inTransfer.size + pending > 0
  }

  /**
   * Whether half of the deadline is over. A worker that still moves connections then, because no other one takes them, reports that
   * it lingers. Otherwise the primary would kill it as late at the time when its check for stalled connections ends it.
   */
  get #movesSlowly(): boolean {
    return performance.now() - this.#startedAt >= this.#options.deadlineMs / 2
  }

  #settle(): void {
    const { lingerTimeoutMs, onSettled } = this.#options
    const isLingering = lingerTimeoutMs !== undefined && performance.now() - this.#startedAt >= SETTLE_MS
    if (!isLingering || this.#settled || this.#hasDrained) return
    this.#settled = true
    onSettled?.(countRemaining(this.#ender.left), this.#report())
  }

  #report(): DrainReport {
    const cuts = this.#cuts.length > 0 && { cuts: this.#cuts }
    return { ...this.#stats, waiting: this.#registry.all.size, ...cuts }
  }

  /** Connections that wait for their PROXY header count as open: each gets its header, or closes. */
  #isDrained(): boolean {
    return this.#registry.openCount + this.#exchanges.pending === this.#registry.awaitingAdminResponse.size
  }

  #transferCandidates(): void {
    while (this.#candidates.length > 0 && this.#inTransfer.size < MAX_IN_TRANSFER) {
      const { connection, bytesRead } = this.#candidates.pop()!
      // Only a connection that has received nothing since the check is surely still between two requests.
      if (isQuiescent(connection) && connection.socket.bytesRead === bytesRead) void this.#transfer(connection)
    }
  }

  /** Keeps the descriptor of this process open until another worker has accepted the connection. */
  async #transfer(connection: Connection): Promise<void> {
    const { socket } = connection
    const { transfer } = this.#options
    const handle = handleOf(socket)
    if (!transfer || !handle) return
    const id = nextTransferId()
    connection.leaving = true
    this.#inTransfer.set(id, connection)
    pauseReading(connection)
    socket.setTimeout(0)
    if (await transfer(id, handle, this.#connections.remainingIdleMs(connection), connection.origin)) return
    // The connection stays here and is tried again; when the primary is gone, `hurry` follows.
    this.#inTransfer.delete(id)
    connection.leaving = false
    if (!socket.destroyed) resumeReading(connection)
  }

  /** Sends FIN, or GOAWAY, and reads on for a while. */
  #end(connection: Connection): void {
    const { socket, http2 } = connection
    if (http2) {
      http2.close()
      return
    }
    connection.leaving = true
    connection.end = 'idle'
    socket.setTimeout(0)
    socket.end()
    const linger = setTimeout(() => socket.destroy(), this.#options.lingerMs)
    socket.once('close', () => clearTimeout(linger))
  }
}
