import type { Collection } from '../../../ipc/messages.ts'
import { type Family, type Sample, SeriesStore } from '../../../ipc/series.ts'

export const TEXT = 'text/plain; version=0.0.4; charset=utf-8'
export const OPENMETRICS = 'application/openmetrics-text; version=1.0.0; charset=utf-8'

/** Gauges that are true of two workers of a slot together; of others, the newer worker's is the one that counts. */
const ADDED = new Set(['http_requests_in_flight'])

/** Every process' series as one page, each once: the counts of all workers of a slot together, the gauges of the newest. */
export function render({ workers, primary, missing }: Collection, type: typeof TEXT | typeof OPENMETRICS): string {
  const book = new SeriesStore()
  book.add(labelled(primary, 'primary'))
  book.add(labelled([workersMissing(missing.length)], 'primary'))
  for (const { slot, counts, others } of workers) {
    book.add(labelled(counts, String(slot)))
    for (const family of labelled(others, String(slot))) {
      if (ADDED.has(family.name)) book.add([family])
      else book.complete([family])
    }
  }
  const open = type === OPENMETRICS
  const text = book.read().map((family) => blockOf(family, open))
  return open ? `${text.join('')}# EOF\n` : text.join('')
}

/** Of the primary, made where the page is. */
export const workersMissing = (count: number): Family => ({
  name: 'cluster_workers_missing',
  help: 'Workers that did not answer this scrape in time: of their series only counts are on this page, as last heard.',
  type: 'gauge',
  series: [['', [count]]]
})

const labelled = (families: readonly Family[], worker: string): Family[] =>
  families.map(({ series, ...head }) => ({
    ...head,
    series: series.map(([labels, values]) => [`${labels}${labels && ','}worker="${worker}"`, values])
  }))

function blockOf({ name, help, type, bounds = [], series }: Family, open: boolean): string {
  // OpenMetrics names a counter without the ending that its samples have.
  const family = open && type === 'counter' ? name.replace(/_total$/, '') : name
  const total = open && type === 'counter' ? `${family}_total` : name
  const about = help.replace(/[\\\n]/g, (found) => (found === '\n' ? '\\n' : '\\\\'))
  let text = `# HELP ${family} ${open ? about.replaceAll('"', '\\"') : about}\n# TYPE ${family} ${type}\n`
  const [suffix, limit] = type === 'histogram' ? ['_bucket', 'le'] : ['', 'quantile']
  for (const [labels, values] of series) {
    if (type === 'counter' || type === 'gauge') {
      text += `${total}{${labels}} ${said(values[0]!)}\n`
      continue
    }
    for (const [i, bound] of bounds.entries()) {
      text += `${name}${suffix}{${labels},${limit}="${bound}"} ${said(values[i]!)}\n`
    }
    const [count, sum] = values.slice(bounds.length) as [Sample, Sample]
    if (type === 'histogram') text += `${name}_bucket{${labels},le="+Inf"} ${said(count)}\n`
    text += `${name}_sum{${labels}} ${said(sum)}\n${name}_count{${labels}} ${said(count)}\n`
  }
  return text
}

/** Go's words for what is not finite. */
const said = (value: Sample): string => String(value).replace('Infinity', 'Inf').replace(/^Inf/, '+Inf')
