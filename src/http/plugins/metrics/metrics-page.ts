import type { Collection } from '../../../ipc/messages.ts'
import { bucketOf, type Exemplar, type Family, type Sample, SeriesStore } from '../../../ipc/series.ts'

export const TEXT = 'text/plain; version=0.0.4; charset=utf-8'
export const OPENMETRICS = 'application/openmetrics-text; version=1.0.0; charset=utf-8'

/** Gauges that are summed over two workers of one slot. Of other gauges the page has the value of the newer worker. */
const SUMMED_GAUGES = new Set(['http_requests_in_flight'])

/**
 * Renders the series of all processes as one page. While two workers share a slot, each series is still there once: counts
 * are summed, gauges come from the newer worker.
 */
export function render({ workers, primary, missing }: Collection, type: typeof TEXT | typeof OPENMETRICS): string {
  const store = new SeriesStore()
  store.add(withWorkerLabel(primary, 'primary'))
  store.add(withWorkerLabel([workersMissing(missing.length)], 'primary'))
  for (const { slot, counters, others } of workers) {
    store.add(withWorkerLabel(counters, String(slot)))
    for (const family of withWorkerLabel(others, String(slot))) {
      if (SUMMED_GAUGES.has(family.name)) store.add([family])
      else store.addMissing([family])
    }
  }
  const isOpenMetrics = type === OPENMETRICS
  const blocks = store.read().map((family) => renderFamily(family, isOpenMetrics))
  return isOpenMetrics ? `${blocks.join('')}# EOF\n` : blocks.join('')
}

/** A gauge of the primary. It is made here because only the page knows which workers did not answer. */
export const workersMissing = (count: number): Family => ({
  name: 'cluster_workers_missing',
  help: 'Workers that did not answer this scrape in time; this page has only their counts, as last reported.',
  type: 'gauge',
  series: [['', [count]]]
})

const withWorkerLabel = (families: readonly Family[], worker: string): Family[] =>
  families.map(({ series, ...head }) => ({
    ...head,
    series: series.map(([labels, ...rest]) => [`${labels}${labels && ','}worker="${worker}"`, ...rest])
  }))

function renderFamily(metric: Family, isOpenMetrics: boolean): string {
  const { name, type, series } = metric
  // OpenMetrics names the family of a counter without the suffix `_total` that its samples have.
  const isOpenCounter = isOpenMetrics && type === 'counter'
  const family = isOpenCounter ? name.replace(/_total$/, '') : name
  let text = `# HELP ${family} ${escapeHelp(metric.help, isOpenMetrics)}\n# TYPE ${family} ${type}\n`
  for (const [labels, values, exemplars] of series) {
    if (type === 'counter' || type === 'gauge') {
      text += `${isOpenCounter ? `${family}_total` : name}{${labels}} ${formatValue(values[0]!)}\n`
    } else {
      text += renderDistribution(metric, labels, values, (isOpenMetrics && exemplars) || [])
    }
  }
  return text
}

/** Renders one series of a histogram or a summary. */
function renderDistribution(
  { name, type, bounds = [] }: Family,
  labels: string,
  values: Sample[],
  exemplars: readonly Exemplar[]
): string {
  const exemplarOf = (bucket: number) => {
    const found = exemplars.find(([, value]) => bucketOf(value, bounds) === bucket)
    return found ? ` # {${found[0]}} ${found[1]} ${found[2].toFixed(3)}` : ''
  }
  const [suffix, boundLabel] = type === 'histogram' ? ['_bucket', 'le'] : ['', 'quantile']
  let text = ''
  for (const [i, bound] of bounds.entries()) {
    text += `${name}${suffix}{${labels},${boundLabel}="${bound}"} ${formatValue(values[i]!)}${exemplarOf(i)}\n`
  }
  const [count, sum] = values.slice(bounds.length) as [Sample, Sample]
  if (type === 'histogram') {
    text += `${name}_bucket{${labels},le="+Inf"} ${formatValue(count)}${exemplarOf(bounds.length)}\n`
  }
  return `${text}${name}_sum{${labels}} ${formatValue(sum)}\n${name}_count{${labels}} ${formatValue(count)}\n`
}

function escapeHelp(help: string, isOpenMetrics: boolean): string {
  const escaped = help.replace(/[\\\n]/g, (character) => (character === '\n' ? '\\n' : '\\\\'))
  return isOpenMetrics ? escaped.replaceAll('"', '\\"') : escaped
}

/** Writes infinity as the text format does: +Inf and -Inf. */
const formatValue = (value: Sample): string => String(value).replace('Infinity', 'Inf').replace(/^Inf/, '+Inf')
