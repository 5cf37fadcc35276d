/** What a metric is and its series, in a form that adds up: what crosses the channel and what a page is made of. */
export interface Family {
  name: string
  help: string
  type: 'counter' | 'gauge' | 'histogram' | 'summary'
  /** Upper bounds of a histogram's buckets, without +Inf; the quantiles of a summary. Ascending. */
  bounds?: number[]
  series: Series[]
}

/**
 * The labels as the text format has them (`method="GET",route="/"`), sorted by name; and the values: one of a counter or a
 * gauge; of a histogram what each bucket and all below it hold, then the count, then the sum; of a summary likewise.
 */
export type Series = [labels: string, values: Sample[]]
/** JSON has no number for these words. */
export type Sample = number | 'NaN' | 'Infinity' | '-Infinity'

type Head = Omit<Family, 'series'>

/** Series by name and labels. Where two families have one name and are not of one type, the first one is what counts. */
export class SeriesStore {
  readonly #families = new Map<string, { head: Head; series: Map<string, Sample[]> }>()
  readonly #most: number
  #size = 0

  /** @param most series beyond this are not taken in */
  constructor(most = Number.POSITIVE_INFINITY) {
    this.#most = most
  }

  /** Notes newer values of the same counts; those that are less than what is known are older. */
  renew(families: readonly Family[]): void {
    this.#merge(families, (known, values) => (countOf(values) < countOf(known) ? known : values))
  }

  /** Adds those of others. Quantiles cannot be added: what is known stays. */
  add(families: readonly Family[]): void {
    this.#merge(families, (known, values, { type, bounds = [] }) => {
      const kept = type === 'summary' ? bounds.length : 0
      return known.map((value, i) => (i < kept ? value : sampleOf(Number(value) + Number(values[i]))))
    })
  }

  /** Notes series that are not known yet. */
  complete(families: readonly Family[]): void {
    this.#merge(families, (known) => known)
  }

  read(): Family[] {
    return [...this.#families.values()].map(({ head, series }) => ({ ...head, series: [...series] }))
  }

  #merge(families: readonly Family[], both: (known: Sample[], values: Sample[], head: Head) => Sample[]): void {
    for (const { series, ...head } of families) {
      let family = this.#families.get(head.name)
      // A histogram without series knows no buckets.
      if (!family?.series.size) this.#families.set(head.name, (family = { head, series: new Map() }))
      if (family.head.type !== head.type) continue
      for (const [labels, values] of series) {
        const known = family.series.get(labels)
        if (!known && this.#size >= this.#most) continue
        if (!known) this.#size++
        const fitting = fit(values, head.bounds ?? [], family.head.bounds ?? [])
        family.series.set(labels, known ? both(known, fitting, family.head) : fitting)
      }
    }
  }
}

/** A value as JSON can have it. */
export const sampleOf = (value: number): Sample => (Number.isFinite(value) ? value : (String(value) as Sample))

/** The count of a histogram is the last but one. */
const countOf = (values: Sample[]): number => Number(values.at(-2) ?? values[0])

/** Buckets of another release: an observation goes to the next bound that is not below its own. */
function fit(values: Sample[], from: readonly number[], to: readonly number[]): Sample[] {
  if (from.length === to.length && from.every((bound, i) => bound === to[i])) return values
  const below = to.map((bound) => values[from.findLastIndex((one) => one <= bound)] ?? 0)
  return [...below, ...values.slice(from.length)]
}

const TYPES: readonly unknown[] = ['counter', 'gauge', 'histogram', 'summary']
const WORDS: readonly unknown[] = ['NaN', 'Infinity', '-Infinity']

/** What a worker says, which runs anybody's code, as families. @throws TypeError when it is something else */
export function parseFamilies(said: unknown): Family[] {
  if (!Array.isArray(said) || !said.every(isFamily)) throw new TypeError('its answer is no list of metrics')
  return said
}

function isFamily(said: unknown): said is Family {
  const { name, help, type, bounds, series } = (said ?? {}) as Record<string, unknown>
  if (typeof name !== 'string' || typeof help !== 'string' || !TYPES.includes(type)) return false
  if (bounds !== undefined && !(Array.isArray(bounds) && bounds.every(Number.isFinite))) return false
  const length = type === 'counter' || type === 'gauge' ? 1 : ((bounds as number[] | undefined)?.length ?? 0) + 2
  return (
    Array.isArray(series) &&
    series.every(
      (one) =>
        Array.isArray(one) &&
        typeof one[0] === 'string' &&
        Array.isArray(one[1]) &&
        one[1].length === length &&
        one[1].every((value: unknown) => Number.isFinite(value) || WORDS.includes(value))
    )
  )
}
