import { type Family, SeriesStore } from '../../ipc/series.ts'

/** Series of one worker beyond this number are ignored. */
const MAX_SERIES = 10_000

/** Counters and histograms of all workers since the start. Those of a slot continue when its worker exits. */
export class RetainedCounters {
  /** Of running workers, by id. */
  readonly #live = new Map<number, SeriesStore>()
  /** Of exited workers, by slot. A slot that is no longer wanted keeps them: a sum over all slots must not decrease. */
  readonly #exited = new Map<number, SeriesStore>()

  /** Stores the latest counters of a worker: all of them, or those that changed. */
  update(id: number, families: readonly Family[]): void {
    let store = this.#live.get(id)
    if (!store) this.#live.set(id, (store = new SeriesStore(MAX_SERIES)))
    store.update(families)
  }

  /** Adds the counters of a worker that has exited to those of its slot. */
  retain(id: number, slot: number): void {
    const last = this.#live.get(id)
    if (!last) return
    this.#live.delete(id)
    const before = this.#exited.get(slot)
    // The newer release defines each family.
    if (before) last.add(before.read())
    this.#exited.set(slot, last)
  }

  /** Adds the counters of another primary's worker to those of its slot. */
  add(slot: number, families: readonly Family[]): void {
    const store = this.#exited.get(slot) ?? new SeriesStore(MAX_SERIES)
    store.add(families)
    this.#exited.set(slot, store)
  }

  of(id: number): Family[] {
    return this.#live.get(id)?.read() ?? []
  }

  ofExited(): { slot: number; counters: Family[] }[] {
    return [...this.#exited].map(([slot, store]) => ({ slot, counters: store.read() }))
  }
}
