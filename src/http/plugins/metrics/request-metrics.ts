import type { FastifyInstance } from 'fastify'
import { Counter, Gauge, type Registry } from 'prom-client'
import type { Config } from '../../../config/load.ts'
import { CachedHistogram, type Distribution } from './cached-histogram.ts'

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]
const BYTES = [100, 1000, 10_000, 100_000, 1_000_000, 10_000_000]
const OF_ROUTE = ['method', 'route'] as const

/** Methods whose series are there before the first request. */
const ASKED_FOR = new Set(['GET', 'POST', 'PUT', 'PATCH', 'DELETE'])

/**
 * Measures every request into `app.metrics`: how long it took, how large it was, how it ended. It needs `completion`.
 * @returns to be called once all routes are there: their series then begin at zero, so that a first request is an increase
 */
export function measure(app: FastifyInstance): () => void {
  const registers = [app.metrics]
  const duration = new CachedHistogram({
    name: 'http_request_duration_seconds',
    help: 'Time from the request to the end of its answer, by route template; an empty route: none matched.',
    labelNames: [...OF_ROUTE, 'status_code'],
    buckets: SECONDS,
    registers
  })
  const received = new CachedHistogram({
    name: 'http_request_size_bytes',
    help: 'Size of request bodies, where the client said it.',
    labelNames: OF_ROUTE,
    buckets: BYTES,
    registers
  })
  const sent = new CachedHistogram({
    name: 'http_response_size_bytes',
    help: 'Size of answers without their headers, streams of unknown length left out.',
    labelNames: OF_ROUTE,
    buckets: BYTES,
    registers
  })
  const aborted = new Counter({
    name: 'http_requests_aborted_total',
    help: 'Requests whose client left before it had the whole answer; they are in no histogram.',
    labelNames: OF_ROUTE,
    registers
  })
  new Gauge({
    name: 'http_requests_in_flight',
    help: 'Requests not answered yet, event streams included.',
    registers,
    collect() {
      this.set(app.completion.inFlight())
    }
  })

  const childrenOf = (method: string, route: string) => {
    const durations = new Map<number, Distribution>()
    let sizes: Distribution | undefined
    let lengths: Distribution | undefined
    return {
      duration: (status: number) => {
        let child = durations.get(status)
        if (!child) durations.set(status, (child = duration.labels(method, route, String(status))))
        return child
      },
      received: () => (sizes ??= received.labels(method, route)),
      sent: () => (lengths ??= sent.labels(method, route)),
      aborted: aborted.labels(method, route)
    }
  }
  const routes = new Map<string, Map<string, ReturnType<typeof childrenOf>>>()
  const children = (method: string, route: string) => {
    let methods = routes.get(route)
    if (!methods) routes.set(route, (methods = new Map()))
    let found = methods.get(method)
    if (!found) methods.set(method, (found = childrenOf(method, route)))
    return found
  }

  const known: { method: string; route: string }[] = []
  app.addHook('onRoute', ({ method, url }) => {
    for (const one of [method].flat()) if (ASKED_FOR.has(one)) known.push({ method: one, route: url })
  })

  app.completion.observe((request, reply, ended) => {
    const of = children(request.method, request.routeOptions.url ?? '')
    if (ended.aborted) return of.aborted.inc()
    of.duration(reply.statusCode).observe(ended.ms / 1000)
    if (request.headers['transfer-encoding'] === undefined) {
      of.received().observe(bytes(request.headers['content-length'] ?? 0))
    }
    const length = reply.getHeader('content-length')
    if (length !== undefined && request.method !== 'HEAD') of.sent().observe(bytes(length))
  })

  return () => {
    for (const { method, route } of known.splice(0)) {
      const of = children(method, route)
      of.duration(200)
      of.aborted.inc(0)
    }
  }
}

/** Connections that were refused, by reason, and how often none were taken. */
export function measureRefusals(
  registry: Registry,
  { refused, acceptPauses }: { refused: () => Readonly<Record<string, number>>; acceptPauses: () => number }
): void {
  new Counter({
    name: 'cluster_accept_pauses_total',
    help: 'How often the process stopped accepting connections for want of file descriptors.',
    registers: [registry],
    collect() {
      this.reset()
      this.inc(acceptPauses())
    }
  })
  new Counter({
    name: 'http_connections_refused_total',
    help: 'Connections refused: past MAX_CONNECTIONS (worker) or MAX_CONNECTIONS_PER_CLIENT (client), or without the header that PROXY_PROTOCOL asks for (proxy-header).',
    labelNames: ['reason'],
    registers: [registry],
    collect() {
      this.reset()
      for (const [reason, count] of Object.entries(refused())) this.inc({ reason }, count)
    }
  })
}

/** Which certificate a worker shows can be told by its end; without TLS there is no series. */
export function measureCertificate(registry: Registry, tls: Config['tls']): void {
  const gauge = new Gauge({
    name: 'tls_certificate_expiry_timestamp_seconds',
    help: 'When the certificate in TLS_CERT expires, in seconds since 1970; of the file as the worker read it.',
    registers: [registry]
  })
  if (tls) gauge.set(tls.expiresAt / 1000)
  else gauge.remove()
}

const bytes = (length: unknown): number => Number(length) || 0
