import type { Collection } from '../../ipc/messages.ts'
import { type Family, SeriesStore } from '../../ipc/series.ts'
import type { RetainedCounters } from './retained-counters.ts'

/** Gauges whose values of both primaries are added; of others, those of the primary that is asked count. */
const ADDED_GAUGES = new Set(['cluster_workers', 'cluster_worker_up'])

/**
 * The metrics of the service while two primaries run it, and afterwards: counters of a primary that has gone are retained, so that no
 * counter falls.
 */
export class CombinedMetrics {
  readonly #collectOwn: () => Promise<Collection>
  readonly #counters: RetainedCounters
  /** Counters of the primaries that this one has replaced. */
  readonly #inherited = new SeriesStore()
  #ask: (() => Promise<Collection>) | undefined
  #last: Collection | undefined
  /** Increases whenever counters of another primary become counters of this one. */
  #epoch = 0

  constructor(collectOwn: () => Promise<Collection>, counters: RetainedCounters) {
    this.#collectOwn = collectOwn
    this.#counters = counters
  }

  /** Adds the metrics of another primary from now on. */
  connect(ask: () => Promise<Collection>): void {
    this.#ask = ask
  }

  /** Retains the counters of the other primary, which has ended. @param last undefined: those that it has told last */
  disconnect(last = this.#last): void {
    this.#ask = undefined
    this.#last = undefined
    this.#epoch++
    if (!last) return
    for (const { slot, counters } of last.workers) this.#counters.add(slot, counters)
    this.#inherited.add(last.primary.filter(isCounter))
  }

  /** The metrics of this primary and of its workers. */
  async own(): Promise<Collection> {
    const collection = await this.#collectOwn()
    return { ...collection, primary: addCounters(collection.primary, this.#inherited.read()) }
  }

  /** The metrics of the whole service. */
  async all(): Promise<Collection> {
    const epoch = this.#epoch
    const [own, other] = await Promise.all([this.own(), this.refresh()])
    // Some counters may have been counted on both sides.
    if (epoch !== this.#epoch) return this.all()
    if (!other) return own
    return {
      workers: [...own.workers, ...other.workers],
      missing: [...own.missing, ...other.missing],
      primary: addCounters(own.primary, other.primary)
    }
  }

  /** Asks the other primary. @returns what it has told last if it does not answer; undefined without another primary */
  async refresh(): Promise<Collection | undefined> {
    const answer = await this.#ask?.().catch(() => undefined)
    if (answer && this.#ask) this.#last = answer
    return answer ?? this.#last
  }
}

const isCounter = ({ type }: Family) => type === 'counter' || type === 'histogram'

function addCounters(families: readonly Family[], others: readonly Family[]): Family[] {
  if (others.length === 0) return [...families]
  const store = new SeriesStore()
  store.add(families)
  store.add(others.filter((family) => isCounter(family) || ADDED_GAUGES.has(family.name)))
  store.addMissing(others.filter((family) => !isCounter(family)))
  return store.read()
}
