import type { DrainStats, Origin } from '../../ipc/messages.ts'
import { type Connection, handleOf, isQuiet, pauseReading, resumeReading, type Watcher } from './connection.ts'
import type { Connections } from './connections.ts'

export interface DrainOptions {
  /**
   * Sends an idle connection to the primary for another worker; false when that failed. Undefined: there is nowhere to
   * hand to, and connections are closed in order.
   */
  handOver?: ((id: number, handle: unknown, idleMs: number, origin: Origin | undefined) => Promise<boolean>) | undefined
  /** How long an idle connection is kept before FIN, longer than clients were told, in ms. */
  graceMs: number
  /** After FIN, how long to go on reading, so that late bytes provoke no reset, in ms. */
  lingerMs: number
  /** Then what is left is cut, in ms. */
  deadlineMs: number
}

/** Connections unread by anybody at one moment: with all at once, 3,000 of them made clients wait for seconds; 64, 56 ms. */
const WINDOW = 64
const LOOK_MS = 50
/** So many connections are looked through in some 10 µs. */
const FEW = 256

/**
 * Empties a worker that accepts no more. Idle connections are handed over, busy ones right after their last answer;
 * where that is not possible, the last answer of each says `Connection: close` and idle ones get FIN after a grace.
 */
export class Drain implements Watcher {
  readonly #connections: Connections
  #options: DrainOptions
  #deadline: NodeJS.Timeout | undefined
  readonly #startedAt = performance.now()
  readonly #stats = { total: 0, handedOver: 0, answered: 0, idle: 0, left: 0, cut: 0, lost: 0 }
  readonly #finished: Promise<void>
  #finish!: () => void
  /** No connection is left at all. */
  readonly left: Promise<void>
  #leave!: () => void
  /** Idle connections of the last look, with the bytes they had sent by then. */
  #candidates: { connection: Connection; bytesRead: number }[] = []
  /** Handed to the primary, and not yet at another worker. */
  readonly #travelling = new Map<number, Connection>()
  #lastId = 0
  #lookPlanned = false

  constructor(connections: Connections, options: DrainOptions) {
    this.#connections = connections
    this.#options = options
    this.#finished = new Promise((resolve) => {
      this.#finish = resolve
    })
    this.left = new Promise((resolve) => {
      this.#leave = resolve
    })
  }

  /** Resolves when no connection is left but those of clients that wait for the primary: they may outlast the deadline. */
  async run(): Promise<DrainStats> {
    this.#stats.total = this.#connections.all.size
    this.#connections.watcher = this
    if (this.#options.handOver) this.#connections.holdsPipelines = true
    else this.#connections.announceClose()
    // Connections that become idle are seen at once; the interval is for those whose grace ends.
    const interval = setInterval(() => this.#lookSoon(), LOOK_MS)
    this.#deadline = setTimeout(() => this.#cut(), this.#options.deadlineMs)
    this.#lookSoon()
    void this.left.then(() => clearInterval(interval))
    await this.#finished
    clearTimeout(this.#deadline)
    return { ...this.#stats, waiting: this.#connections.all.size }
  }

  /** The primary says that another worker serves a connection that was handed over, or that it is lost. */
  moved(id: number, lost = false): void {
    const connection = this.#travelling.get(id)
    if (!connection) return
    this.#travelling.delete(id)
    connection.end = lost ? 'lost' : 'handedOver'
    connection.socket.destroy() // Our descriptor only; the connection lives on in the other worker's.
    this.#handOverNext()
  }

  /** The primary is gone: nothing can be handed over any more, and there is less time. */
  hurry(options: DrainOptions): void {
    this.#options = options
    this.#connections.holdsPipelines = false
    for (const connection of this.#connections.all) if (!connection.leaving) resumeReading(connection)
    this.#connections.announceClose()
    clearTimeout(this.#deadline)
    this.#deadline = setTimeout(() => this.#cut(), options.deadlineMs)
  }

  opened(): void {
    this.#stats.total++
    this.#lookSoon()
  }

  /**
   * At once, where looking costs little: a client that asks without a pause has sent its next request by the time the
   * event loop comes round, and would never be found between two.
   */
  quiet(connection: Connection): void {
    // A pipeline that never ends would have no moment between two requests. What is behind a whole request waits.
    if (this.#connections.holdsPipelines && connection.lastRequest?.complete) pauseReading(connection)
    if (connection.busy === 0 && this.#connections.all.size <= FEW) this.#look()
    else this.#lookSoon()
  }

  closed(connection: Connection): void {
    this.#stats[connection.end]++
    if (this.#isEmpty()) this.#lookSoon()
  }

  #lookSoon(): void {
    if (this.#lookPlanned) return
    this.#lookPlanned = true
    setImmediate(() => {
      this.#lookPlanned = false
      this.#look()
    })
  }

  #look(): void {
    if (this.#isEmpty()) this.#finish()
    if (this.#connections.all.size + this.#connections.awaited.size === 0) this.#leave()
    else if (this.#options.handOver) {
      if (this.#candidates.length === 0) {
        const idle = this.#connections.idle()
        this.#candidates = idle.map((connection) => ({ connection, bytesRead: connection.socket.bytesRead }))
      }
      this.#handOverNext()
    } else if (performance.now() - this.#startedAt >= this.#options.graceMs) {
      for (const connection of this.#connections.idle()) this.#end(connection)
    }
  }

  #isEmpty(): boolean {
    const { all, awaited, awaitingAdminResponse } = this.#connections
    // Those whose PROXY header is awaited are not known yet: each comes with its header, or closes.
    return all.size + awaited.size === awaitingAdminResponse.size
  }

  #handOverNext(): void {
    while (this.#candidates.length > 0 && this.#travelling.size < WINDOW) {
      const { connection, bytesRead } = this.#candidates.pop()!
      // Since the look it may have been busy: only one that has sent nothing is surely still between two requests.
      if (isQuiet(connection) && connection.socket.bytesRead === bytesRead) void this.#handOver(connection)
    }
  }

  /** Our copy stays open until the connection is at another worker: until then nobody else may have one. */
  async #handOver(connection: Connection): Promise<void> {
    const { socket } = connection
    const { handOver } = this.#options
    const handle = handleOf(socket)
    if (!handOver || !handle) return
    const id = ++this.#lastId
    connection.leaving = true
    this.#travelling.set(id, connection)
    pauseReading(connection)
    socket.setTimeout(0)
    if (await handOver(id, handle, this.#connections.idleLeft(connection), connection.origin)) return
    // It is still ours, and is tried again; when the primary itself is gone, `hurry` follows.
    this.#travelling.delete(id)
    connection.leaving = false
    if (!socket.destroyed) resumeReading(connection)
  }

  /** FIN, and read on for a while. */
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

  #cut(): void {
    for (const socket of this.#connections.awaited) socket.destroy()
    for (const connection of this.#connections.all) {
      if (this.#connections.awaitingAdminResponse.has(connection)) continue
      if (connection.end === 'left') connection.end = 'cut'
      connection.socket.destroy()
    }
  }
}
