/** How often the clock is read, so that a stall is noticed. */
const TICK_MS = 250
/** A longer gap between two reads means that this process did not run. */
const STALL_MS = 4 * TICK_MS

/**
 * A monotonic clock in ms that stops while this process does not run: stopped by a signal, starved of CPU, or in a long turn of
 * the event loop. So no deadline of a worker passes while the primary could not have received its messages.
 */
export class StallAwareClock {
  #readAt = performance.now()
  #stalledMs = 0
  readonly #onStall: (ms: number) => void

  /** @param onStall called after each stall with its length */
  constructor(onStall: (ms: number) => void = () => {}) {
    this.#onStall = onStall
    setInterval(() => this.now(), TICK_MS).unref()
  }

  now(): number {
    const real = performance.now()
    const gap = real - this.#readAt
    this.#readAt = real
    if (gap > STALL_MS) {
      this.#stalledMs += gap
      this.#onStall(gap)
    }
    return real - this.#stalledMs
  }
}
