import { type Family, SeriesStore } from '../../ipc/series.ts'

/** A worker that has more series than this is listened to no further. */
const MOST_SERIES = 10_000

/** Counters and histograms of all the workers there ever were: those of a slot go on when its worker ends. */
export class RetainedCounters {
  /** Of workers that live, by their ids. */
  readonly #live = new Map<number, SeriesStore>()
  /** Of workers that are gone, by slot. A slot that is no longer wanted keeps them: a sum over all slots must not fall. */
  readonly #gone = new Map<number, SeriesStore>()

  /** What a worker last said of its counts, all or some of them. */
  update(id: number, families: readonly Family[]): void {
    let book = this.#live.get(id)
    if (!book) this.#live.set(id, (book = new SeriesStore(MOST_SERIES)))
    book.renew(families)
  }

  /** A worker will say no more. */
  retain(id: number, slot: number): void {
    const last = this.#live.get(id)
    if (!last) return
    this.#live.delete(id)
    const before = this.#gone.get(slot)
    // The newer release says what a family is.
    if (before) last.add(before.read())
    this.#gone.set(slot, last)
  }

  of(id: number): Family[] {
    return this.#live.get(id)?.read() ?? []
  }

  ofExited(): { slot: number; counts: Family[] }[] {
    return [...this.#gone].map(([slot, book]) => ({ slot, counts: book.read() }))
  }
}
