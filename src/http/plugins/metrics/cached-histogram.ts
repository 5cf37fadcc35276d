import type { Histogram, MetricObjectWithValues, MetricValueWithName, Registry } from 'prom-client'

interface Settings {
  name: string
  help: string
  labelNames?: readonly string[]
  /** Upper bounds, ascending, without infinity. */
  buckets: readonly number[]
  registers: readonly Registry[]
}

/** One series of a histogram. */
export class Distribution {
  readonly #bounds: readonly number[]
  /** What is in each bucket and in none below it; the last is that of infinity. */
  readonly #counts: number[]
  #sum = 0

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds
    this.#counts = [...bounds, 0].fill(0)
  }

  observe(value: number): void {
    const bounds = this.#bounds
    let i = 0
    while (i < bounds.length && value > bounds[i]!) i++
    this.#counts[i]!++
    this.#sum += value
  }

  /** As prom-client gives it: the buckets, each with all below it, the sum, the count. */
  read(name: string, labels: Record<string, string>): MetricValueWithName<string>[] {
    let count = 0
    const buckets = this.#counts.map((of, i) => {
      const le = this.#bounds[i] ?? '+Inf'
      return { metricName: `${name}_bucket`, labels: { le, ...labels }, value: (count += of) }
    })
    return [
      ...buckets,
      { metricName: `${name}_sum`, labels, value: this.#sum },
      { metricName: `${name}_count`, labels, value: count }
    ]
  }
}

/**
 * A histogram of prom-client's registry for what is observed with every request: a series is looked up once and kept. That of
 * prom-client hashes its labels at each observation, also where the labelled child is kept.
 */
export class CachedHistogram {
  readonly name: string
  readonly help: string
  readonly type = 'histogram'
  readonly labelNames: readonly string[]
  readonly #bounds: readonly number[]
  readonly #series = new Map<string, { labels: Record<string, string>; distribution: Distribution }>()

  constructor({ name, help, labelNames = [], buckets, registers }: Settings) {
    this.name = name
    this.help = help
    this.labelNames = labelNames
    this.#bounds = buckets
    for (const registry of registers) registry.registerMetric(this as unknown as Histogram)
  }

  /** The series of these labels, in the order of `labelNames`; there from now on, also while nothing was observed. */
  labels(...values: string[]): Distribution {
    const key = JSON.stringify(values)
    let found = this.#series.get(key)
    if (!found) {
      const labels = Object.fromEntries(this.labelNames.map((label, i) => [label, values[i] ?? '']))
      this.#series.set(key, (found = { labels, distribution: new Distribution(this.#bounds) }))
    }
    return found.distribution
  }

  /** Asked by the registry. */
  async get(): Promise<
    Omit<MetricObjectWithValues<MetricValueWithName<string>>, 'type' | 'collect'> & { type: string }
  > {
    const values = [...this.#series.values()].flatMap(({ labels, distribution }) =>
      distribution.read(this.name, labels)
    )
    return { name: this.name, help: this.help, type: this.type, aggregator: 'sum', values }
  }
}
