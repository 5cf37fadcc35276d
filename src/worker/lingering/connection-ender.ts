import type { CutReason } from '../../ipc/drain-report.ts'
import type { Connection } from '../connections/connection.ts'
import type { ConnectionRegistry } from '../connections/connection-registry.ts'
import { kindOf, markCut } from './remaining.ts'
import { CLOSE_SPREAD_MS, mustClose, SocketCloser } from './socket-closer.ts'
import { StallDetector } from './stall-detector.ts'

export interface DrainDeadlines {
  /**
   * Everything that is left is cut after this time, in ms; with `lingerTimeoutMs`, connections are cut on which no byte moved
   * for so long, and event streams, which would never end, when none has moved to another worker for a while.
   */
  deadlineMs: number
  /** Everything that is left is cut after this time, in ms; undefined: at `deadlineMs`. */
  lingerTimeoutMs?: number | undefined
}

/** Progress is examined this often per deadline, but at least once a second. */
const CHECKS_PER_DEADLINE = 8
const MAX_CHECK_INTERVAL_MS = 1000
/** How long a close frame that is written at the deadline may take to leave this process, in ms. */
const FLUSH_MS = 500

/** Ends the connections that a draining worker cannot transfer: closes WebSockets, and cuts what is over its time. */
export class ConnectionEnder {
  readonly #registry: ConnectionRegistry
  readonly #onDeadline: () => void
  readonly #countArrived: () => number
  readonly #closer: SocketCloser
  #timers: NodeJS.Timeout[] = []

  /**
   * @param onDeadline called before connections are cut because their time is over
   * @param countArrived returns the number of exchanges that other workers have taken over
   */
  constructor(registry: ConnectionRegistry, onDeadline: () => void, countArrived: () => number) {
    this.#registry = registry
    this.#onDeadline = onDeadline
    this.#countArrived = countArrived
    this.#closer = new SocketCloser(registry.all, (connection) => this.#cut([connection], 'no-answer'))
  }

  /** The connections that the drain waits for. */
  get left(): Connection[] {
    const { all, awaitingAdminResponse } = this.#registry
    return [...all].filter((connection) => !awaitingAdminResponse.has(connection))
  }

  /** Can be called again with other deadlines, which replace the ones before. */
  start({ deadlineMs, lingerTimeoutMs }: DrainDeadlines): void {
    if (lingerTimeoutMs === undefined) {
      this.cutAllIn(deadlineMs, 'deadline')
      return
    }
    this.#replaceTimers(setTimeout(() => this.#cutAll('linger-timeout'), lingerTimeoutMs))
    this.#closer.start(CLOSE_SPREAD_MS, deadlineMs)
    const detector = new StallDetector(deadlineMs)
    const interval = Math.min(MAX_CHECK_INTERVAL_MS, deadlineMs / CHECKS_PER_DEADLINE)
    this.#timers.push(
      setInterval(() => void this.#cutStalled(detector), interval),
      setTimeout(() => this.#cutStreamsWhenStill(interval), deadlineMs - interval)
    )
  }

  /** Replaces every deadline that was set before. */
  cutAllIn(ms: number, reason: CutReason): void {
    this.#replaceTimers(setTimeout(() => this.#cutAll(reason), ms))
    this.#closer.start(Math.min(CLOSE_SPREAD_MS, ms / 2), ms)
  }

  stop(): void {
    this.#replaceTimers()
    this.#closer.stop()
  }

  #replaceTimers(...timers: NodeJS.Timeout[]): void {
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers = timers
  }

  async #cutStalled(detector: StallDetector): Promise<void> {
    // A WebSocket may be silent while it waits for its turn to be closed.
    const mayStall = () => this.left.filter((connection) => !mustClose(connection))
    const stalled = await detector.findStalled(mayStall())
    const now = new Set(mayStall())
    this.#cut(
      stalled.filter((connection) => now.has(connection)),
      'stalled'
    )
  }

  /** Cuts the event streams unless exchanges move to other workers meanwhile, as those of thousands of connections may. */
  #cutStreamsWhenStill(interval: number): void {
    const arrived = this.#countArrived()
    const check = () => (this.#countArrived() === arrived ? this.#cutStreams() : this.#cutStreamsWhenStill(interval))
    this.#timers.push(setTimeout(check, interval))
  }

  #cutStreams(): void {
    this.#onDeadline()
    this.#cut(
      this.left.filter((connection) => kindOf(connection) === 'stream'),
      'deadline'
    )
  }

  #cutAll(reason: CutReason): void {
    this.#onDeadline()
    for (const socket of this.#registry.awaitingProxyHeader) socket.destroy()
    this.#cut(this.left, reason)
  }

  #cut(connections: Connection[], reason: CutReason): void {
    for (const connection of connections) {
      const { end, socket, webSocket } = connection
      if (mustClose(connection) && webSocket?.close()) {
        connection.end = 'closed'
        socket.destroySoon()
        setTimeout(() => socket.destroy(), FLUSH_MS)
        continue
      }
      if (end === 'left' || end === 'closed') markCut(connection, reason)
      socket.destroy()
    }
  }
}
