import type { CutReason } from '../../ipc/drain-report.ts'
import type { Connection } from '../connections/connection.ts'
import { kindOf } from './remaining.ts'
import { StallDetector } from './stall-detector.ts'

export interface DrainDeadlines {
  /**
   * Everything that is left is cut after this time, in ms; with `lingerTimeoutMs`, connections are cut on which no byte moved
   * for so long, and event streams, which would never end.
   */
  deadlineMs: number
  /** Everything that is left is cut after this time, in ms; undefined: at `deadlineMs`. */
  lingerTimeoutMs?: number | undefined
}

/** Progress is examined this often per deadline, but at least once a second. */
const CHECKS_PER_DEADLINE = 8
const MAX_CHECK_INTERVAL_MS = 1000

/** Decides when a draining worker cuts which of its connections. */
export class CutTimer {
  readonly #left: () => Connection[]
  readonly #cut: (connections: Connection[], reason: CutReason) => void
  #timers: NodeJS.Timeout[] = []

  /** @param left returns the connections that may be cut */
  constructor(left: () => Connection[], cut: (connections: Connection[], reason: CutReason) => void) {
    this.#left = left
    this.#cut = cut
  }

  start({ deadlineMs, lingerTimeoutMs }: DrainDeadlines): void {
    if (lingerTimeoutMs === undefined) {
      this.cutAllIn(deadlineMs, 'deadline')
      return
    }
    this.cutAllIn(lingerTimeoutMs, 'linger-timeout')
    const detector = new StallDetector(deadlineMs)
    const interval = Math.min(MAX_CHECK_INTERVAL_MS, deadlineMs / CHECKS_PER_DEADLINE)
    this.#timers.push(
      setInterval(() => void this.#cutStalled(detector), interval),
      setTimeout(() => this.#cutStreams(), deadlineMs)
    )
  }

  /** Replaces every deadline that was set before. */
  cutAllIn(ms: number, reason: CutReason): void {
    this.stop()
    this.#timers.push(setTimeout(() => this.#cut(this.#left(), reason), ms))
  }

  stop(): void {
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers = []
  }

  async #cutStalled(detector: StallDetector): Promise<void> {
    const stalled = await detector.findStalled(this.#left())
    const left = new Set(this.#left())
    const still = stalled.filter((connection) => left.has(connection))
    if (still.length > 0) this.#cut(still, 'stalled')
  }

  #cutStreams(): void {
    const streams = this.#left().filter((connection) => kindOf(connection) === 'stream')
    if (streams.length > 0) this.#cut(streams, 'deadline')
  }
}
