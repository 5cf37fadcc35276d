import type { NumbersSeen } from '../observations.ts'

/** Keeps what is needed to tell whether every answered request was counted exactly once. */
export class NumberTally {
  readonly #given = new Set<number>()
  #answered = 0
  #failed = 0
  #duplicates = 0
  #first = Number.POSITIVE_INFINITY
  #last = Number.NEGATIVE_INFINITY

  /** A request was answered with this number. */
  answer(value: number): void {
    this.#answered++
    if (this.#given.has(value)) this.#duplicates++
    this.#given.add(value)
    this.#first = Math.min(this.#first, value)
    this.#last = Math.max(this.#last, value)
  }

  /** A request failed, and may have been counted. */
  failure(): void {
    this.#failed++
  }

  /** The highest number so far; undefined without any. */
  get last(): number | undefined {
    return this.#answered > 0 ? this.#last : undefined
  }

  /** @returns undefined when no request was answered */
  read(): NumbersSeen | undefined {
    if (this.#answered === 0) return undefined
    const counted = this.#last - this.#first + 1
    return { answered: this.#answered, failed: this.#failed, duplicates: this.#duplicates, counted }
  }
}
