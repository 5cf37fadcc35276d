import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Counter, Gauge, type Registry } from 'prom-client'
import { routeOf } from '../../routing/not-found.ts'
import type { Tracing } from '../tracing/tracing.ts'
import { CachedHistogram, type Distribution, type ExemplarLabels } from './cached-histogram.ts'

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]
const BYTES = [100, 1000, 10_000, 100_000, 1_000_000, 10_000_000]
const ROUTE_LABELS = ['method', 'route'] as const

/** The series of these methods exist before the first request. */
const EXPECTED_METHODS = new Set(['GET', 'POST', 'PUT', 'PATCH', 'DELETE'])

/**
 * Measures every request into `app.metrics`: its duration, its sizes, and whether its client left. Needs the plugin
 * `completion`.
 * @param tracing undefined: durations have no exemplars
 * @returns a function to call after all routes are registered: it creates their series with the value zero, so that a first
 * request counts as an increase
 */
export function measureRequests(app: FastifyInstance, tracing?: Tracing): () => void {
  const series = new RequestSeries(app.metrics)
  new Gauge({
    name: 'http_requests_in_flight',
    help: 'Requests that are not answered yet, event streams included.',
    registers: [app.metrics],
    collect() {
      this.set(app.completion.inFlight())
    }
  })

  const routes: { method: string; route: string }[] = []
  app.addHook('onRoute', ({ method, url }) => {
    for (const name of [method].flat()) if (EXPECTED_METHODS.has(name)) routes.push({ method: name, route: url })
  })

  app.completion.observe((request, reply, { ms, aborted }) => {
    const route = series.of(request.method, routeOf(request))
    if (aborted) route.aborted.inc()
    else observe(route, request, reply, ms, tracing?.exemplarOf(request))
  })

  return () => {
    for (const { method, route } of routes.splice(0)) {
      const created = series.of(method, route)
      created.duration(200)
      created.aborted.inc(0)
    }
  }
}

function observe(
  route: RouteSeries,
  request: FastifyRequest,
  reply: FastifyReply,
  ms: number,
  exemplar: ExemplarLabels | undefined
): void {
  route.duration(reply.statusCode).observe(ms / 1000, exemplar)
  if (request.headers['transfer-encoding'] === undefined) {
    route.received().observe(toBytes(request.headers['content-length'] ?? 0))
  }
  const length = reply.getHeader('content-length')
  if (length !== undefined && request.method !== 'HEAD') route.sent().observe(toBytes(length))
}

const toBytes = (length: unknown): number => Number(length) || 0

/** The series of one method of one route. Those of sizes and durations are created at the first observation. */
interface RouteSeries {
  duration: (status: number) => Distribution
  received: () => Distribution
  sent: () => Distribution
  aborted: Counter.Internal
}

/** The metrics of requests, with the series of each route kept, so that an observation looks up no labels. */
class RequestSeries {
  readonly #duration: CachedHistogram
  readonly #received: CachedHistogram
  readonly #sent: CachedHistogram
  readonly #aborted: Counter
  /** By route and method. */
  readonly #routes = new Map<string, Map<string, RouteSeries>>()

  constructor(registry: Registry) {
    const registers = [registry]
    this.#duration = new CachedHistogram({
      name: 'http_request_duration_seconds',
      help: 'Time from the request to the end of its answer, by route template; an empty route means that none matched.',
      labelNames: [...ROUTE_LABELS, 'status_code'],
      buckets: SECONDS,
      registers
    })
    this.#received = new CachedHistogram({
      name: 'http_request_size_bytes',
      help: 'Size of request bodies, where the client declared it.',
      labelNames: ROUTE_LABELS,
      buckets: BYTES,
      registers
    })
    this.#sent = new CachedHistogram({
      name: 'http_response_size_bytes',
      help: 'Size of answers without their headers; streams of unknown length are left out.',
      labelNames: ROUTE_LABELS,
      buckets: BYTES,
      registers
    })
    this.#aborted = new Counter({
      name: 'http_requests_aborted_total',
      help: 'Requests whose client left before it had the whole answer; no histogram contains them.',
      labelNames: ROUTE_LABELS,
      registers
    })
  }

  of(method: string, route: string): RouteSeries {
    let methods = this.#routes.get(route)
    if (!methods) {
      methods = new Map()
      this.#routes.set(route, methods)
    }
    let found = methods.get(method)
    if (!found) {
      found = this.#create(method, route)
      methods.set(method, found)
    }
    return found
  }

  #create(method: string, route: string): RouteSeries {
    const durations = new Map<number, Distribution>()
    let received: Distribution | undefined
    let sent: Distribution | undefined
    return {
      duration: (status) => {
        const known = durations.get(status)
        if (known) return known
        const created = this.#duration.labels(method, route, String(status))
        durations.set(status, created)
        return created
      },
      received: () => {
        received ??= this.#received.labels(method, route)
        return received
      },
      sent: () => {
        sent ??= this.#sent.labels(method, route)
        return sent
      },
      aborted: this.#aborted.labels(method, route)
    }
  }
}
