/** How long slow clients are tolerated. All times in ms. */
export interface SlowClientLimits {
  /** A client may take nothing of its response for this long; 0 means forever. */
  sendMs: number
  /** Bytes per second that a client must take at least; 0 means that one byte in `sendMs` is enough. */
  sendRate: number
  keepAliveMs: number
  headersMs: number
  /** For HTTP/1.1, Node enforces it. */
  requestMs: number
}

/** Measures how fast a client takes what is sent to it, on a connection of HTTP/1.1 or a stream of HTTP/2. */
export class SendProgress {
  #sentBytes: number
  #progressAt: number
  /** Start of the period in which the rate is measured. */
  #period: { sentBytes: number; at: number }

  /** @param sentBytes taken by the client so far @param now in ms of `performance.now()` */
  constructor(sentBytes: number, now: number) {
    this.#sentBytes = sentBytes
    this.#progressAt = now
    this.#period = { sentBytes, at: now }
  }

  /** @returns whether the client took nothing for `sendMs`, or less than `sendRate` in a period of `sendMs` */
  isTooSlow(sentBytes: number, now: number, limits: Pick<SlowClientLimits, 'sendMs' | 'sendRate'>): boolean {
    const { sendMs, sendRate } = limits
    if (sentBytes !== this.#sentBytes) {
      this.#sentBytes = sentBytes
      this.#progressAt = now
    }
    if (now - this.#progressAt >= sendMs) return true
    const elapsedMs = now - this.#period.at
    if (elapsedMs < sendMs) return false
    const taken = sentBytes - this.#period.sentBytes
    this.#period = { sentBytes, at: now }
    return taken < (sendRate * elapsedMs) / 1000
  }
}
