import {
  collectDefaultMetrics,
  type MetricObject,
  type MetricObjectWithValues,
  type MetricValue,
  type MetricValueWithName,
  Registry
} from 'prom-client'
import { EVENT_LOOP_RESOLUTION_MS, type Metrics } from '../../../ipc/messages.ts'
import { type Exemplar, type Family, type Sample, type Series, sampleOf } from '../../../ipc/series.ts'

/** Gauges whose names end in _total, which `promtool check metrics` rejects. */
const MISNAMED = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total']
/** Shows 292 years when it is read twice within a moment. */
const MISLEADING = ['nodejs_eventloop_lag_min_seconds']
/** Metrics of the process rather than of the application: they start again with each process, whatever their type. */
const PROCESS_METRIC = /^(process|nodejs)_/
/** A metric that takes longer to read, in ms, is left out: its `collect` may wait for another service. */
const READ_TIMEOUT_MS = 500

/** Creates a worker's registry with Node's default metrics. The label `worker` is added when the page is rendered. */
export function createRegistry(): Registry {
  const register = new Registry()
  collectDefaultMetrics({ register, eventLoopMonitoringPrecision: EVENT_LOOP_RESOLUTION_MS })
  for (const name of [...MISNAMED, ...MISLEADING]) register.removeSingleMetric(name)
  return register
}

/** Reads all metrics. Metrics that fail or time out are left out. Counts are read last, so that they are the newest. */
export async function readRegistry(registry: Registry): Promise<Metrics> {
  const others = await read(registry, (metric) => !isCount(metric))
  return { counters: await readCounts(registry), others }
}

/** Reads the counters, histograms and summaries of the application. */
const readCounts = (registry: Registry): Promise<Family[]> => read(registry, isCount)

/** Returns a function that reads the series of counts that have changed since its previous call. */
export function changesOf(registry: Registry): () => Promise<Family[]> {
  const lastValues = new Map<string, string>()
  const hasChanged = (name: string, [labels, values]: Series): boolean => {
    const key = `${name} ${labels}`
    const text = values.join()
    if (lastValues.get(key) === text) return false
    lastValues.set(key, text)
    return true
  }
  return async () => {
    const families = await readCounts(registry)
    return families
      .map((family) => ({ ...family, series: family.series.filter((series) => hasChanged(family.name, series)) }))
      .filter(({ series }) => series.length > 0)
  }
}

/** prom-client declares an enum for the type of a metric, but uses these words. */
const typeOf = ({ type }: { type: unknown }) => type as Family['type']

const isCount = (metric: MetricObject) => typeOf(metric) !== 'gauge' && !PROCESS_METRIC.test(metric.name)

/**
 * Reads metrics one by one instead of by `getMetricsAsJSON`: that reads the gauges too, every second with the heartbeat, and
 * one metric that fails or never answers would take all others along.
 */
async function read(registry: Registry, isWanted: (metric: MetricObject) => boolean): Promise<Family[]> {
  const names = registry
    .getMetricsAsArray()
    .filter(isWanted)
    .map(({ name }) => name)
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), READ_TIMEOUT_MS)
  })
  const readOne = async (name: string) => registry.getSingleMetric(name)?.get()
  const found = await Promise.all(names.map((name) => Promise.race([timeout, readOne(name).catch(() => undefined)])))
  clearTimeout(timer)
  return found.flatMap((metric) => (metric ? toFamily(metric) : []))
}

function toFamily(metric: MetricObjectWithValues<MetricValue<string>>): Family {
  const { name, help } = metric
  const type = typeOf(metric)
  const values = metric.values as MetricValueWithName<string>[]
  if (type === 'counter' || type === 'gauge') {
    return { name, help, type, series: values.map(({ labels, value }) => [formatLabels(labels), [sampleOf(value)]]) }
  }
  const { bounds, series } = toSeries(values, type === 'histogram' ? 'le' : 'quantile')
  return { name, help, type, bounds, series }
}

/** prom-client does not declare the exemplars of a histogram, and has null where a bucket has none. */
export type ValueWithExemplar = MetricValueWithName<string> & {
  exemplar?: { labelSet: Record<string, string>; value: number; timestamp: number } | null
}

/** Folds the values of each series into one. prom-client lists its buckets in ascending order, then the sum, then the count. */
function toSeries(
  values: MetricValueWithName<string>[],
  boundLabel: 'le' | 'quantile'
): { bounds: number[]; series: Series[] } {
  const series: Series[] = []
  let bounds: number[] = []
  let buckets: Sample[] = []
  let currentBounds: number[] = []
  let sum: Sample = 0
  let exemplars: Exemplar[] = []
  for (const { labels, value, metricName, exemplar } of values as ValueWithExemplar[]) {
    const { [boundLabel]: bound, ...others } = labels
    if (exemplar) exemplars.push([formatLabels(exemplar.labelSet), exemplar.value, exemplar.timestamp])
    if (bound === '+Inf') continue
    if (bound !== undefined) {
      currentBounds.push(Number(bound))
      buckets.push(sampleOf(value))
    } else if (metricName?.endsWith('_sum')) {
      sum = sampleOf(value)
    } else {
      const samples = [...buckets, sampleOf(value), sum]
      series.push(exemplars.length > 0 ? [formatLabels(others), samples, exemplars] : [formatLabels(others), samples])
      bounds = currentBounds
      exemplars = []
      currentBounds = []
      buckets = []
    }
  }
  return { bounds, series }
}

/** Labels in the text format, sorted so that all workers write them alike. The page adds a label `worker` of its own. */
function formatLabels(labels: Partial<Record<string, string | number>>): string {
  return Object.keys(labels)
    .sort()
    .map((name) => `${name === 'worker' ? 'exported_worker' : name}="${escapeValue(String(labels[name]))}"`)
    .join()
}

const escapeValue = (text: string) =>
  text.replace(/[\\"\n]/g, (character) => (character === '\n' ? '\\n' : `\\${character}`))
