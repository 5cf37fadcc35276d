/** How often the clock is looked at, so that a standstill is seen. */
const TICK_MS = 250
/** A gap between two looks that is longer was none of the workers' doing. */
const STALL_MS = 4 * TICK_MS

/**
 * Milliseconds that stand still while this process does: stopped and continued, starved of CPU, or in a long turn. So no
 * deadline of a worker runs out while nobody could have heard it. Monotonic: the wall clock may jump.
 */
export class StallAwareClock {
  #seenAt = performance.now()
  #stoodMs = 0
  readonly #onStall: (ms: number) => void

  constructor(onStall: (ms: number) => void = () => {}) {
    this.#onStall = onStall
    setInterval(() => this.now(), TICK_MS).unref()
  }

  now(): number {
    const real = performance.now()
    const gap = real - this.#seenAt
    this.#seenAt = real
    if (gap > STALL_MS) {
      this.#stoodMs += gap
      this.#onStall(gap)
    }
    return real - this.#stoodMs
  }
}
