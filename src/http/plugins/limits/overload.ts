const TICK_MS = 100

/**
 * Detects an overloaded event loop. One late tick is a short stall, and the requests that waited for it are answered. Two late
 * ticks in a row mean that requests arrive faster than they are processed.
 */
export class OverloadDetector {
  isOverloaded = false
  readonly #timer: NodeJS.Timeout

  /**
   * @param maxDelayMs a tick that is later than this counts as late
   * @param now returns the time in ms
   */
  constructor(maxDelayMs: number, now: () => number = () => performance.now()) {
    let last = now()
    let wasLate = false
    this.#timer = setInterval(() => {
      const isLate = now() - last - TICK_MS > maxDelayMs
      this.isOverloaded = isLate && wasLate
      wasLate = isLate
      last = now()
    }, TICK_MS).unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}
