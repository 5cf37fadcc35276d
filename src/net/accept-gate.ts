import type { Logger } from '../common/log.ts'
import { type ListeningHandle, pauseAccepting, resumeAccepting } from '../node-internals/listening-handle.ts'
import type { Descriptors } from './file-descriptors.ts'

/** A pause ends when there are file descriptors for this many connections. */
const RESUME_ROOM = 8
const RECHECK_INTERVAL_MS = 1000
const LOG_INTERVAL_MS = 60_000

/**
 * Pauses accepting while this process is short of file descriptors; connections then wait in the kernel's queue. Without it,
 * libuv accepts and closes every waiting connection when there is no descriptor, and reports no error.
 */
export class AcceptGate {
  /** How often accepting was paused. */
  pauses = 0
  readonly #descriptors: Descriptors
  readonly #log: Logger
  readonly #handles: (() => ListeningHandle | null | undefined)[] = []
  #connections = 0
  #paused: NodeJS.Timeout | undefined
  #quietUntil = 0

  constructor(descriptors: Descriptors, log: Logger) {
    this.#descriptors = descriptors
    this.#log = log
  }

  /** @param handle returns the handle to pause, or nothing when it is not open */
  add(handle: () => ListeningHandle | null | undefined): void {
    this.#handles.push(handle)
    if (this.#paused) this.#forEachHandle(pauseAccepting)
  }

  /**
   * To be called whenever a connection was opened or closed.
   * @param connections that are open
   * @returns how many more there may be; negative when there are too many
   */
  update(connections: number): number {
    this.#connections = connections
    const room = this.#descriptors.room(connections)
    if (!this.#paused && room <= 0) this.#pause()
    else if (this.#paused && room >= RESUME_ROOM) this.#resume()
    return room
  }

  #pause(): void {
    this.pauses++
    // Descriptors may become free without a connection that closes.
    this.#paused = setInterval(() => this.update(this.#connections), RECHECK_INTERVAL_MS).unref()
    this.#forEachHandle(pauseAccepting)
    if (performance.now() < this.#quietUntil) return
    this.#quietUntil = performance.now() + LOG_INTERVAL_MS
    const { limit } = this.#descriptors
    const why = 'too few file descriptors are left: raise the limit (ulimit -n, LimitNOFILE=) or have fewer connections'
    this.#log.warn({ limit, connections: this.#connections, why }, 'accepting pauses')
  }

  #resume(): void {
    clearInterval(this.#paused)
    this.#paused = undefined
    this.#forEachHandle(resumeAccepting)
  }

  #forEachHandle(action: (handle: ListeningHandle) => void): void {
    for (const get of this.#handles) {
      const handle = get()
      if (handle) action(handle)
    }
  }
}
