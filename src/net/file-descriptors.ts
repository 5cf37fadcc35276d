import { readdirSync, readFileSync } from 'node:fs'

/** Counting costs some microseconds for each descriptor: no more often than this, in ms. */
const RECOUNT_MS = 1000

/**
 * Estimates how many more connections the file descriptors of this process are enough for. The limit is known on Linux;
 * elsewhere there is none.
 */
export class Descriptors {
  readonly limit: number
  readonly #reserve: number
  /** Open, beside those of connections, when last counted. */
  #others = 0
  #countedAt = 0

  /** @param reserve kept for all but new connections, out of the limit */
  constructor(reserve: (limit: number) => number, limit = readLimit()) {
    this.limit = limit
    this.#reserve = reserve(limit)
    this.#count(0)
  }

  /** @param connections how many are open @returns how many more there may be; negative where they use the reserve */
  room(connections: number): number {
    const estimated = this.limit - this.#reserve - this.#others - connections
    if (estimated > this.limit / 2 || performance.now() - this.#countedAt < RECOUNT_MS) return estimated
    this.#count(connections)
    return this.limit - this.#reserve - this.#others - connections
  }

  #count(connections: number): void {
    if (this.limit === Number.POSITIVE_INFINITY) return
    this.#countedAt = performance.now()
    try {
      // One of them is that of the folder.
      this.#others = Math.max(0, readdirSync('/proc/self/fd').length - 1 - connections)
    } catch {
      // It takes a descriptor to count them: what was counted before is close enough.
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
