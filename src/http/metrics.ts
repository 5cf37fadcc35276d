import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { AggregatorRegistry, collectDefaultMetrics, Histogram, Registry } from 'prom-client'
import type { Collection, MetricJson } from '../ipc/messages.ts'
import { addRouteHook } from './route-hook.ts'

const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]
/** Gauges that end in _total: `promtool check metrics` refuses them. */
const MISNAMED = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total']

/** A worker's registry: the slot is the label, not the pid, so that the series stay the same ones over restarts. */
export function createRegistry(slot: number): Registry {
  const register = new Registry()
  register.setDefaultLabels({ worker: String(slot) })
  collectDefaultMetrics({ register })
  for (const name of MISNAMED) register.removeSingleMetric(name)
  return register
}

/** Measures every request, and GET /metrics: the series of all workers and of the primary on one page. */
export const metrics = fp<{ collect: () => Promise<Collection> }>(async (app, { collect }) => {
  const duration = new Histogram({
    name: 'http_request_duration_seconds',
    help: 'Time from the request to the end of its answer, by route template.',
    labelNames: ['method', 'route', 'status_code'],
    buckets: BUCKETS,
    registers: [app.metrics]
  })
  const hookOf = observers(duration)
  app.addHook('onRoute', (route) => addRouteHook(route, 'onResponse', hookOf(route.url)))
  const unknown = hookOf('')
  app.addHook('onResponse', (request, reply, done) => (request.is404 ? unknown(request, reply, done) : done()))

  app.get('/metrics', { config: { quiet: true } }, async (_request, reply) => {
    const collection = await collect()
    if (collection.missing.length > 0) app.log.warn({ missing: collection.missing }, 'metrics are partial')
    return reply.type(Registry.PROMETHEUS_CONTENT_TYPE).send(await render(collection))
  })
})

/** Every process' series as one page: where two workers share a slot, counts are summed and gauges are the newer one's. */
export function render({ workers, primary, missing }: Collection): Promise<string> {
  const silent: MetricJson = {
    name: 'cluster_workers_missing',
    help: 'Workers that did not answer this scrape in time: their series are not on this page.',
    type: 'gauge',
    values: [{ value: missing.length, labels: { worker: 'primary' } }]
  }
  const pages = [[...primary, silent], ...workers.map((worker) => worker.metrics)].map((page) =>
    page.map((metric) => ({ ...metric, aggregator: metric.type === 'gauge' ? 'first' : 'sum' }))
  )
  return AggregatorRegistry.aggregate(pages as unknown as MetricJson[][]).metrics()
}

type ResponseHook = (request: FastifyRequest, reply: FastifyReply, done: () => void) => void

/** One hook a route, so that nothing is looked up per request but the labelled child of the method and the status. */
function observers(duration: Histogram<'method' | 'route' | 'status_code'>): (route: string) => ResponseHook {
  const hooks = new Map<string, ResponseHook>()
  const create = (route: string): ResponseHook => {
    const children = new Map<string, ReturnType<typeof duration.labels>>()
    return (request, reply, done) => {
      const key = request.method + reply.statusCode
      let child = children.get(key)
      if (!child) children.set(key, (child = duration.labels(request.method, route, String(reply.statusCode))))
      child.observe(reply.elapsedTime / 1000)
      done()
    }
  }
  return (route) => {
    let hook = hooks.get(route)
    if (!hook) hooks.set(route, (hook = create(route)))
    return hook
  }
}
