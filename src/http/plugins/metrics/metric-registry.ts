import { collectDefaultMetrics, type MetricObjectWithValues, type MetricValue, Registry } from 'prom-client'
import type { Metrics } from '../../../ipc/messages.ts'
import { type Family, type Sample, type Series, sampleOf } from '../../../ipc/series.ts'

/** Gauges that end in _total: `promtool check metrics` refuses them. */
const MISNAMED = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total']
/** 292 years, when it is read twice within a moment. */
const MISLEADING = ['nodejs_eventloop_lag_min_seconds']
/** Of the process, not of the application: they begin anew with each process, whatever their type. */
const OF_PROCESS = /^(process|nodejs)_/
/** A metric that takes longer to read (it asks somebody else, say) is left out. In ms. */
const READ_MS = 500

/** A worker's registry. Which worker it is, the page says. */
export function createRegistry(): Registry {
  const register = new Registry()
  collectDefaultMetrics({ register })
  for (const name of [...MISNAMED, ...MISLEADING]) register.removeSingleMetric(name)
  return register
}

/** Everything that is in the registry now, but for metrics that fail or are late. Counts are read last. */
export async function readRegistry(registry: Registry): Promise<Metrics> {
  const others = await read(registry, (metric) => !isCount(metric))
  return { counts: await readCounts(registry), others }
}

/** Counters, histograms and summaries of the application. */
export const readCounts = (registry: Registry): Promise<Family[]> => read(registry, isCount)

/** Reads counts of which the last reading said something else, or nothing. */
export function changesOf(registry: Registry): () => Promise<Family[]> {
  const known = new Map<string, string>()
  return async () => {
    const families = await readCounts(registry)
    return families
      .map((family) => ({
        ...family,
        series: family.series.filter(([labels, values]) => {
          const key = `${family.name} ${labels}`
          const text = values.join()
          if (known.get(key) === text) return false
          known.set(key, text)
          return true
        })
      }))
      .filter(({ series }) => series.length > 0)
  }
}

/** What prom-client's metrics are, beside what their types say. */
interface Metric {
  name: string
  type?: unknown
  get(): Promise<MetricObjectWithValues<MetricValue<string>>>
}
type Value = MetricValue<string> & { metricName?: string }

const isCount = ({ name, type }: { name: string; type?: unknown }) => type !== 'gauge' && !OF_PROCESS.test(name)

async function read(registry: Registry, wanted: (metric: Metric) => boolean): Promise<Family[]> {
  const metrics = (registry.getMetricsAsArray() as unknown as Metric[]).filter(wanted)
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), READ_MS)
  })
  const found = await Promise.all(
    metrics.map((metric) => Promise.race([late, Promise.resolve(metric.get()).catch(() => undefined)]))
  )
  clearTimeout(timer)
  return found.flatMap((metric) => (metric ? familyOf(metric) : []))
}

function familyOf(metric: MetricObjectWithValues<MetricValue<string>>): Family {
  const { name, help } = metric
  const type = metric.type as unknown as Family['type']
  const values = metric.values as Value[]
  if (type === 'counter' || type === 'gauge') {
    return { name, help, type, series: values.map(({ labels, value }) => [textOf(labels), [sampleOf(value)]]) }
  }
  const { bounds, series } = foldedUp(values, type === 'histogram' ? 'le' : 'quantile')
  return { name, help, type, bounds, series }
}

/** prom-client gives each bucket, the sum and the count of a series one after the other, the count last. */
function foldedUp(values: Value[], by: 'le' | 'quantile'): { bounds: number[]; series: Series[] } {
  const series: Series[] = []
  let bounds: number[] = []
  let below: Sample[] = []
  let limits: number[] = []
  let sum: Sample = 0
  for (const { labels, value, metricName } of values) {
    const { [by]: limit, ...others } = labels
    if (limit !== undefined) {
      if (limit === '+Inf') continue
      limits.push(Number(limit))
      below.push(sampleOf(value))
    } else if (metricName?.endsWith('_sum')) sum = sampleOf(value)
    else {
      series.push([textOf(others), [...below, sampleOf(value), sum]])
      bounds = limits
      limits = []
      below = []
    }
  }
  return { bounds, series }
}

/** Sorted, so that two workers say the same; `worker` is what the page says. */
function textOf(labels: Partial<Record<string, string | number>>): string {
  return Object.keys(labels)
    .sort()
    .map((name) => `${name === 'worker' ? 'exported_worker' : name}="${escaped(String(labels[name]))}"`)
    .join()
}

const escaped = (text: string) => text.replace(/[\\"\n]/g, (found) => (found === '\n' ? '\\n' : `\\${found}`))
