import { readdirSync, readFileSync } from 'node:fs'

/** Counting costs some microseconds per descriptor, so it happens at most this often. */
const RECOUNT_MS = 1000

/**
 * Estimates how many more connections this process has file descriptors for. The limit is known on Linux; elsewhere there is
 * none.
 */
export class Descriptors {
  readonly limit: number
  readonly #reserve: number
  /** Open descriptors that belong to no connection, when they were last counted. */
  #others = 0
  #countedAt = 0

  /** @param reserve returns how many of the limit are kept for everything but new connections */
  constructor(reserve: (limit: number) => number, limit = readLimit()) {
    this.limit = limit
    this.#reserve = reserve(limit)
    this.#count(0)
  }

  /**
   * @param connections that are open
   * @returns how many more there may be; negative when they use the reserve
   */
  room(connections: number): number {
    const estimated = this.#roomBeside(connections)
    if (estimated > this.limit / 2 || performance.now() - this.#countedAt < RECOUNT_MS) return estimated
    this.#count(connections)
    return this.#roomBeside(connections)
  }

  #roomBeside(connections: number): number {
    return this.limit - this.#reserve - this.#others - connections
  }

  #count(connections: number): void {
    if (this.limit === Number.POSITIVE_INFINITY) return
    this.#countedAt = performance.now()
    try {
      // Reading the folder opens one descriptor itself.
      this.#others = Math.max(0, readdirSync('/proc/self/fd').length - 1 - connections)
    } catch {
      // Counting needs a free descriptor. The previous count is close enough.
    }
  }
}

function readLimit(): number {
  try {
    const [, soft = ''] = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? []
    return soft === '' ? Number.POSITIVE_INFINITY : Number(soft)
  } catch {
    return Number.POSITIVE_INFINITY
  }
}
