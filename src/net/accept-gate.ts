import type { Logger } from '../common/log.ts'
import type { Descriptors } from './file-descriptors.ts'

/**
 * Node's handle of a listening socket that was opened by its descriptor, or came from another process. libuv polls it like a
 * stream: to stop reading is to stop accepting. What arrives then waits in the kernel's queue.
 */
export interface ListeningHandle {
  readStart(): number
  readStop(): number
}

/** After a pause there must be room for so many connections before it ends. */
const RESUME_ROOM = 8
const LOOK_MS = 1000
const QUIET_MS = 60_000

/**
 * Pauses accepting while this process is short of file descriptors. Without it, libuv accepts what waits in the queue and
 * closes it at once when there is no descriptor, and nobody is told.
 */
export class AcceptGate {
  /** How often it has paused. */
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

  /** @param handle gives the handle to pause; nothing once it is closed */
  add(handle: () => ListeningHandle | null | undefined): void {
    this.#handles.push(handle)
    if (this.#paused) pause(handle())
  }

  /**
   * To be called whenever a connection has come or gone.
   * @param connections how many are open @returns how many more there may be; negative where there are too many
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
    // What else uses descriptors may let go of some without a connection that goes.
    this.#paused = setInterval(() => this.update(this.#connections), LOOK_MS).unref()
    for (const handle of this.#handles) pause(handle())
    if (performance.now() < this.#quietUntil) return
    this.#quietUntil = performance.now() + QUIET_MS
    const { limit } = this.#descriptors
    const why = 'too few file descriptors are left: raise the limit (ulimit -n, LimitNOFILE=) or have fewer connections'
    this.#log.warn({ limit, connections: this.#connections, why }, 'accepting pauses')
  }

  #resume(): void {
    clearInterval(this.#paused)
    this.#paused = undefined
    for (const handle of this.#handles) handle()?.readStart()
  }
}

/** Begins first: libuv stops only what it believes to be reading. */
function pause(handle: ListeningHandle | null | undefined): void {
  handle?.readStart()
  handle?.readStop()
}
