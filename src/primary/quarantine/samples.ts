import type { Moment } from './guilty-routes.ts'

/** Memory and the time of a verdict are bounded by this number of samples. */
const MAX_SAMPLES = 600

/**
 * Samples of what is in flight, spread over a time window. When it is full, every other sample is dropped and only every other
 * new one is taken, so that few workers are sampled closely and many workers thinly.
 */
export class Samples {
  readonly #windowMs: number
  #samples: { at: number; moment: Moment }[] = []
  #takesEvery = 1
  #offered = 0

  constructor(windowMs: number) {
    this.#windowMs = windowMs
  }

  add(moment: Moment, now: number): void {
    if (this.#offered++ % this.#takesEvery !== 0) return
    this.#samples.push({ at: now, moment })
    while (now - this.#samples[0]!.at > this.#windowMs) this.#samples.shift()
    if (this.#samples.length > MAX_SAMPLES) {
      this.#samples = this.#samples.filter((_, i) => i % 2 === 1)
      this.#takesEvery *= 2
    } else if (this.#takesEvery > 1 && this.#samples.length < MAX_SAMPLES / 4) {
      this.#takesEvery /= 2
    }
  }

  /** @returns the samples of the window */
  moments(now: number): Moment[] {
    return this.#samples.filter(({ at }) => now - at <= this.#windowMs).map(({ moment }) => moment)
  }
}
