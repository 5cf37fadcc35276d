import type { Collection } from '../../ipc/messages.ts'
import { type Family, SeriesStore } from '../../ipc/series.ts'
import type { RetainedCounters } from './retained-counters.ts'

/** Gauges whose values of both primaries are added; of others, those of the primary that is asked count. */
const ADDED_GAUGES = new Set(['cluster_workers', 'cluster_worker_up', 'cluster_lingering_workers'])

/** Another primary that serves beside this one. */
interface Other {
  ask: () => Promise<Collection>
  /** What it has told last. */
  last?: Collection | undefined
}

/**
 * The metrics of the service while several primaries run it, and afterwards: counters of a primary that has gone are retained, so that no
 * counter falls.
 */
export class CombinedMetrics {
  readonly #collectOwn: () => Promise<Collection>
  readonly #counters: RetainedCounters
  /** Counters of the primaries that this one has replaced. */
  readonly #inherited = new SeriesStore()
  /** By any key: the one that replaces this primary, and the one that this one has replaced. */
  readonly #others = new Map<object, Other>()
  /** Increases whenever counters of another primary become counters of this one. */
  #epoch = 0

  constructor(collectOwn: () => Promise<Collection>, counters: RetainedCounters) {
    this.#collectOwn = collectOwn
    this.#counters = counters
  }

  /** Adds the metrics of another primary from now on. */
  connect(key: object, ask: () => Promise<Collection>): void {
    this.#others.set(key, { ask })
  }

  /** Retains the counters of another primary, which has ended. @param last undefined: those that it has told last */
  disconnect(key: object, last = this.#others.get(key)?.last): void {
    if (!this.#others.delete(key)) return
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

  /** The metrics of the whole service. @param except the key of a primary that is left out, because it asks */
  async all(except?: object): Promise<Collection> {
    const epoch = this.#epoch
    const others = [...this.#others].filter(([key]) => key !== except)
    const [own, ...answers] = await Promise.all([this.own(), ...others.map(([, other]) => refresh(other))])
    // Some counters may have been counted on both sides. The worker that asks does not wait for a second round of questions.
    if (epoch !== this.#epoch) return this.#allKnown(except)
    return answers.reduce<Collection>((sum, answer) => (answer ? add(sum, answer) : sum), own)
  }

  /** The metrics of the whole service, as the other primaries have told them last. */
  async #allKnown(except: object | undefined): Promise<Collection> {
    const epoch = this.#epoch
    const own = await this.own()
    if (epoch !== this.#epoch) return this.#allKnown(except)
    const others = [...this.#others].filter(([key]) => key !== except)
    return others.reduce<Collection>((sum, [, { last }]) => (last ? add(sum, last) : sum), own)
  }

  /** Asks the other primaries. What they tell is what remains if they are killed. */
  async refresh(): Promise<void> {
    await Promise.all([...this.#others.values()].map(refresh))
  }
}

/** @returns what the other primary has told last if it does not answer; undefined if it has told nothing */
async function refresh(other: Other): Promise<Collection | undefined> {
  other.last = (await other.ask().catch(() => undefined)) ?? other.last
  return other.last
}

const add = (sum: Collection, { workers, missing, primary }: Collection): Collection => ({
  workers: [...sum.workers, ...workers],
  missing: [...sum.missing, ...missing],
  primary: addCounters(sum.primary, primary)
})

const isCounter = ({ type }: Family) => type === 'counter' || type === 'histogram'

function addCounters(families: readonly Family[], others: readonly Family[]): Family[] {
  if (others.length === 0) return [...families]
  const store = new SeriesStore()
  store.add(families)
  store.add(others.filter((family) => isCounter(family) || ADDED_GAUGES.has(family.name)))
  store.addMissing(others.filter((family) => !isCounter(family)))
  return store.read()
}
