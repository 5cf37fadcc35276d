import type { Histogram, MetricObjectWithValues, MetricValueWithName, Registry } from 'prom-client'
import type { ValueWithExemplar } from './metric-registry.ts'

/** Labels that lead from an observation to its trace. */
export type ExemplarLabels = Record<'trace_id' | 'span_id', string>

interface HistogramOptions {
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
  /** Observations per bucket, not cumulative; the last bucket is that of infinity. */
  readonly #counts: number[]
  #sum = 0
  /** The last exemplar of each bucket; undefined while there is none. */
  #exemplars: (ValueWithExemplar['exemplar'] | undefined)[] | undefined

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds
    this.#counts = [...bounds, 0].fill(0)
  }

  /** @param exemplar labels of an exemplar that replaces the one of the bucket */
  observe(value: number, exemplar?: ExemplarLabels): void {
    const bounds = this.#bounds
    let i = 0
    while (i < bounds.length && value > bounds[i]!) i++
    this.#counts[i]!++
    this.#sum += value
    if (exemplar === undefined) return
    this.#exemplars ??= []
    this.#exemplars[i] = { labelSet: exemplar, value, timestamp: Date.now() / 1000 }
  }

  /** Returns the values in prom-client's form: the cumulative buckets, the sum, the count. */
  read(name: string, labels: Record<string, string>): MetricValueWithName<string>[] {
    let count = 0
    const exemplars = this.#exemplars
    const buckets = this.#counts.map((inBucket, i) => {
      count += inBucket
      const le = this.#bounds[i] ?? '+Inf'
      const bucket: ValueWithExemplar = { metricName: `${name}_bucket`, labels: { le, ...labels }, value: count }
      if (exemplars?.[i]) bucket.exemplar = exemplars[i]
      return bucket
    })
    return [
      ...buckets,
      { metricName: `${name}_sum`, labels, value: this.#sum },
      { metricName: `${name}_count`, labels, value: count }
    ]
  }
}

/**
 * A histogram for values that are observed with every request: a series is looked up once and kept. prom-client's own
 * histogram hashes the labels at each observation, even for a child that was kept.
 *
 * It stands in a prom-client registry beside metrics of that package. A registry uses `name`, `type` and `get()` of a metric
 * (prom-client 15); test/unit/histogram.test.ts compares the pages of both.
 */
export class CachedHistogram {
  readonly name: string
  readonly help: string
  readonly type = 'histogram'
  readonly labelNames: readonly string[]
  readonly #bounds: readonly number[]
  readonly #series = new Map<string, { labels: Record<string, string>; distribution: Distribution }>()

  constructor({ name, help, labelNames = [], buckets, registers }: HistogramOptions) {
    this.name = name
    this.help = help
    this.labelNames = labelNames
    this.#bounds = buckets
    for (const registry of registers) registry.registerMetric(this as unknown as Histogram)
  }

  /**
   * Returns the series of these labels. A new series is on the page from now on, also before the first observation.
   * @param values in the order of `labelNames`
   */
  labels(...values: string[]): Distribution {
    const key = JSON.stringify(values)
    const known = this.#series.get(key)
    if (known) return known.distribution
    const labels = Object.fromEntries(this.labelNames.map((label, i) => [label, values[i] ?? '']))
    const distribution = new Distribution(this.#bounds)
    this.#series.set(key, { labels, distribution })
    return distribution
  }

  /** Called by the registry. */
  async get(): Promise<
    Omit<MetricObjectWithValues<MetricValueWithName<string>>, 'type' | 'collect'> & { type: string }
  > {
    const values = [...this.#series.values()].flatMap(({ labels, distribution }) =>
      distribution.read(this.name, labels)
    )
    return { name: this.name, help: this.help, type: this.type, aggregator: 'sum', values }
  }
}
