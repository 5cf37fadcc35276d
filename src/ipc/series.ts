/** A metric with its series, in a form that can be added up. It crosses the channel, and /metrics is rendered from it. */
export interface Family {
  name: string
  help: string
  type: 'counter' | 'gauge' | 'histogram' | 'summary'
  /** Ascending: the upper bounds of a histogram's buckets, without +Inf; the quantiles of a summary. */
  bounds?: number[]
  series: Series[]
}

/**
 * The labels as in the text format (`method="GET",route="/"`), sorted by name, and the values: one for a counter or a gauge;
 * the cumulative buckets, the count and the sum for a histogram; the quantiles, the count and the sum for a summary.
 */
export type Series = [labels: string, values: Sample[], exemplars?: Exemplar[]]
/**
 * An observation of a histogram that leads to more about it, such as a trace: at most one for each bucket. The value tells the
 * bucket. `atS` is its time in seconds since 1970.
 */
export type Exemplar = [labels: string, value: number, atS: number]
/** A value. JSON has no numbers for the words. */
export type Sample = number | 'NaN' | 'Infinity' | '-Infinity'

type FamilyHead = Omit<Family, 'series'>

interface StoredFamily {
  head: FamilyHead
  series: Map<string, Sample[]>
  /** By the labels of the series. */
  exemplars: Map<string, Exemplar[]>
}

/** Merges series by name and labels. When two families of one name differ in type, the first one wins. */
export class SeriesStore {
  readonly #families = new Map<string, StoredFamily>()
  readonly #maxSeries: number
  #size = 0

  /** @param maxSeries further series are ignored */
  constructor(maxSeries = Number.POSITIVE_INFINITY) {
    this.#maxSeries = maxSeries
  }

  /** Replaces values by newer ones of the same process. A lower count is older: it is ignored. */
  update(families: readonly Family[]): void {
    this.#merge(families, (known, values) => (countOf(values) < countOf(known) ? known : values))
  }

  /** Adds the values of another process. Quantiles cannot be added: the known ones stay. */
  add(families: readonly Family[]): void {
    this.#merge(families, (known, values, { type, bounds = [] }) => {
      const quantiles = type === 'summary' ? bounds.length : 0
      return known.map((value, i) => (i < quantiles ? value : sampleOf(Number(value) + Number(values[i]))))
    })
  }

  /** Adds series that are not known yet. */
  addMissing(families: readonly Family[]): void {
    this.#merge(families, (known) => known)
  }

  read(): Family[] {
    return [...this.#families.values()].map(({ head, series, exemplars }) => {
      const list: Series[] = [...series]
      if (exemplars.size === 0) return { ...head, series: list }
      return { ...head, series: list.map(([labels, values]) => withExemplars(labels, values, exemplars.get(labels))) }
    })
  }

  #merge(
    families: readonly Family[],
    combine: (known: Sample[], values: Sample[], head: FamilyHead) => Sample[]
  ): void {
    for (const { series, ...head } of families) {
      let family = this.#families.get(head.name)
      // A histogram without series has no bounds: the first one with series decides.
      if (!family?.series.size) {
        family = { head, series: new Map(), exemplars: new Map() }
        this.#families.set(head.name, family)
      }
      if (family.head.type !== head.type) continue
      for (const [labels, values, exemplars] of series) {
        const known = family.series.get(labels)
        if (!known && this.#size >= this.#maxSeries) continue
        if (!known) this.#size++
        const own = head.type === 'gauge' ? values : withExactSum(values)
        const fitted = fitToBounds(own, head.bounds ?? [], family.head.bounds ?? [])
        family.series.set(labels, known ? combine(known, fitted, family.head) : fitted)
        if (exemplars) {
          const kept = family.exemplars.get(labels) ?? []
          family.exemplars.set(labels, newestOfBuckets([...kept, ...exemplars], family.head.bounds ?? []))
        }
      }
    }
  }
}

/** Sums of such multiples are exact up to 2^29, whatever their order. */
const SUM_STEP = 2 ** -24

/**
 * Rounds the value of a counter, or the sum of a histogram or summary, down to a multiple of 60 billionths. Added in another order, other
 * numbers may differ in their last bit, and Prometheus takes a sum that falls by this for a reset.
 */
function withExactSum(values: Sample[]): Sample[] {
  const sum = values.at(-1)
  if (typeof sum !== 'number' || Number.isInteger(sum)) return values
  return values.with(-1, Math.floor(sum / SUM_STEP) * SUM_STEP)
}

const withExemplars = (labels: string, values: Sample[], exemplars: Exemplar[] | undefined): Series =>
  exemplars ? [labels, values, exemplars] : [labels, values]

/** @returns the index of the bucket that counts a value; the number of bounds for the bucket of infinity */
export function bucketOf(value: number, bounds: readonly number[]): number {
  const index = bounds.findIndex((bound) => value <= bound)
  return index < 0 ? bounds.length : index
}

/** Keeps the newest exemplar of each bucket. */
function newestOfBuckets(exemplars: readonly Exemplar[], bounds: readonly number[]): Exemplar[] {
  const newest = new Map<number, Exemplar>()
  for (const exemplar of exemplars) {
    const bucket = bucketOf(exemplar[1], bounds)
    const known = newest.get(bucket)
    if (!known || known[2] <= exemplar[2]) newest.set(bucket, exemplar)
  }
  return [...newest.values()]
}

/** A number as a value that JSON can hold. */
export const sampleOf = (value: number): Sample => (Number.isFinite(value) ? value : (String(value) as Sample))

/** The value of a counter, or the count of a histogram, which is the last but one. */
const countOf = (values: Sample[]): number => Number(values.at(-2) ?? values[0])

/** Converts a histogram of another release to other bounds: an observation moves to the next bound that is not lower. */
function fitToBounds(values: Sample[], from: readonly number[], to: readonly number[]): Sample[] {
  if (from.length === to.length && from.every((bound, i) => bound === to[i])) return values
  const buckets = to.map((bound) => values[from.findLastIndex((lower) => lower <= bound)] ?? 0)
  return [...buckets, ...values.slice(from.length)]
}

const TYPES: readonly unknown[] = ['counter', 'gauge', 'histogram', 'summary']
const WORDS: readonly unknown[] = ['NaN', 'Infinity', '-Infinity']

/** Checks the metrics from a worker, which may run any code. @throws TypeError when they are no list of families */
export function parseFamilies(value: unknown): Family[] {
  if (!Array.isArray(value) || !value.every(isFamily)) throw new TypeError('the answer is not a list of metrics')
  return value
}

function isFamily(value: unknown): value is Family {
  const { name, help, type, bounds, series } = (value ?? {}) as Record<string, unknown>
  if (typeof name !== 'string' || typeof help !== 'string' || !TYPES.includes(type)) return false
  if (bounds !== undefined && !(Array.isArray(bounds) && bounds.every(Number.isFinite))) return false
  const isSingle = type === 'counter' || type === 'gauge'
  const length = isSingle ? 1 : ((bounds as number[] | undefined)?.length ?? 0) + 2
  return Array.isArray(series) && series.every((one) => isSeries(one, length))
}

/** @param length the number of values that a series of this family has */
function isSeries(value: unknown, length: number): value is Series {
  if (!Array.isArray(value) || typeof value[0] !== 'string') return false
  const samples: unknown = value[1]
  if (!Array.isArray(samples) || samples.length !== length) return false
  if (!samples.every((sample) => Number.isFinite(sample) || WORDS.includes(sample))) return false
  return value[2] === undefined || (Array.isArray(value[2]) && value[2].length < length && value[2].every(isExemplar))
}

/** OpenMetrics allows 128 characters of names and values; quotes, escapes and commas are added to these. */
const MAX_EXEMPLAR_LABELS = 512

function isExemplar(value: unknown): value is Exemplar {
  if (!Array.isArray(value) || typeof value[0] !== 'string') return false
  if (value[0].length > MAX_EXEMPLAR_LABELS || value[0].includes('\n')) return false
  return Number.isFinite(value[1]) && Number.isFinite(value[2])
}
