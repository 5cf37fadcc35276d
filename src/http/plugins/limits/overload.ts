const TICK_MS = 100

/**
 * Whether the event loop has more to do than it can. One long turn is a hiccup, and what waited for it is answered; two in
 * a row mean that requests come faster than they are dealt with.
 */
export class Overload {
  /** Requests that can be refused should be. */
  on = false
  readonly #timer: NodeJS.Timeout

  /** @param maxDelayMs how late the loop may be */
  constructor(maxDelayMs: number, now: () => number = () => performance.now()) {
    let last = now()
    let wasLate = false
    this.#timer = setInterval(() => {
      const isLate = now() - last - TICK_MS > maxDelayMs
      this.on = isLate && wasLate
      wasLate = isLate
      last = now()
    }, TICK_MS).unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}
