import type { Context, Span, Tracer } from '@opentelemetry/api'
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { routeOf } from '../../routing/not-found.ts'
import { wasTransferred } from '../../transferable.ts'
import type { Completion } from '../log/completion.ts'
import type { ExemplarLabels } from '../metrics/cached-histogram.ts'

export type OpenTelemetry = typeof import('@opentelemetry/api')

/** The packages that the app has installed. */
export interface TracingPackages {
  api: OpenTelemetry
  /** Of `@fastify/otel`. */
  FastifyOtelInstrumentation: new (
    options: object
  ) => { plugin(): FastifyPluginAsync }
}

/** OpenTelemetry's fields of a log line. */
export interface TraceFields {
  trace_id: string
  span_id: string
  trace_flags: string
}

/** The span of a request, and how to end it. */
interface RequestTrace {
  span: Span
  context: Context
  end(): void
  setStatus: Span['setStatus']
}

type Callback = (error?: unknown) => void

const TRACE = Symbol('trace')
type TracedRequest = FastifyRequest & { [TRACE]?: RequestTrace | null }

/** The flag of W3C Trace Context that says that a span is recorded. */
const SAMPLED = 1

/**
 * Spans of requests, and of what the service does for them. @fastify/otel begins a span for each request and for its handler; this
 * class completes the first one by OpenTelemetry's conventions for HTTP, and ends it when the request ends.
 */
export class Tracing {
  readonly #api: OpenTelemetry
  readonly #packages: TracingPackages
  readonly #tracer: Tracer

  constructor(packages: TracingPackages) {
    this.#api = packages.api
    this.#packages = packages
    this.#tracer = packages.api.trace.getTracer('muster')
  }

  /** Begins and ends the spans of requests. Register it after `completion`, and before every other plugin. */
  get plugin(): FastifyPluginAsync {
    return fp(async (app) => {
      app.addHook('onRoute', ({ config }) => {
        // Probes and scrapes.
        if (config?.quiet && !('otel' in config)) Object.assign(config, { otel: false })
      })
      app.decorateRequest(TRACE, null)
      const { FastifyOtelInstrumentation } = this.#packages
      const instrumentation = new FastifyOtelInstrumentation({
        // The hooks of the service, each with a span of its own, would hide what the app does.
        instrumentHooks: false,
        requestHook: (span: Span, request: FastifyRequest) => this.#begin(span, request)
      })
      await app.register(instrumentation.plugin())
      app.addHook('onRequest', (request, reply, done) => {
        this.#follow(request, reply)
        done()
      })
      app.completion.observe((request, reply, completion) => this.#complete(request, reply, completion))
    })
  }

  /** @returns the fields of the request's span for log lines; undefined when it has none */
  fieldsOf(request: FastifyRequest): TraceFields | undefined {
    const trace = (request as TracedRequest)[TRACE]
    return trace ? fieldsOf(trace.span) : undefined
  }

  /** @returns the fields of the span that is active now */
  activeFields(): TraceFields | undefined {
    const span = this.#api.trace.getActiveSpan()
    return span && fieldsOf(span)
  }

  /** @returns the labels that lead to the trace of a request; undefined when the trace is not recorded */
  exemplarOf(request: FastifyRequest): ExemplarLabels | undefined {
    const trace = (request as TracedRequest)[TRACE]
    if (!trace) return undefined
    const { traceId, spanId, traceFlags } = trace.span.spanContext()
    return (traceFlags & SAMPLED) === SAMPLED ? { trace_id: traceId, span_id: spanId } : undefined
  }

  /** Runs work in a span below that of the request. The span ends when the promise is settled. */
  inSpan<Result>(request: FastifyRequest, name: string, work: () => Promise<Result>): Promise<Result> {
    const trace = recordedOf(request)
    if (!trace) return work()
    const span = this.#tracer.startSpan(name, undefined, trace.context)
    const running = this.#api.context.with(this.#api.trace.setSpan(trace.context, span), work)
    this.endWith(span, running)
    return running
  }

  /** As {@link inSpan}, for work that calls back. The callback runs in the span of the request. */
  callInSpan(request: FastifyRequest, name: string, work: (done: Callback) => void, done: Callback): void {
    const trace = recordedOf(request)
    if (!trace) {
      work(done)
      return
    }
    const span = this.#tracer.startSpan(name, undefined, trace.context)
    const { context } = this.#api
    const ended: Callback = (error) => {
      if (error) this.#markFailed(span, error)
      span.end()
      context.with(trace.context, () => done(error))
    }
    context.with(this.#api.trace.setSpan(trace.context, span), () => work(ended))
  }

  /** Ends a span when a promise is settled. */
  endWith(span: Span, running: Promise<unknown>): void {
    running.then(
      () => span.end(),
      (error: unknown) => {
        this.#markFailed(span, error)
        span.end()
      }
    )
  }

  #begin(span: Span, request: FastifyRequest): void {
    if (span.isRecording()) describe(span, request)
    const trace: RequestTrace = {
      span,
      context: this.#api.trace.setSpan(this.#api.context.active(), span),
      end: span.end.bind(span),
      setStatus: span.setStatus.bind(span)
    }
    // @fastify/otel ends the span before the session is stored, and never if the client leaves. It also marks every error as one of
    // the server. Both are done at the end of the request instead.
    span.end = () => {}
    span.setStatus = () => span
    ;(request as TracedRequest)[TRACE] = trace
  }

  #follow(request: FastifyRequest, reply: FastifyReply): void {
    const trace = recordedOf(request)
    if (!trace) return
    // With what the client has sent beside the trace, such as baggage.
    trace.context = this.#api.context.active()
    // Listeners of the body run in the turns of the socket, which have no context of their own.
    this.#api.context.bind(trace.context, request.raw)
    reply.raw.once('close', () => {
      if (!wasTransferred(request.raw)) return
      trace.span.setAttribute('muster.transferred', true)
      trace.end()
    })
  }

  #complete(request: FastifyRequest, reply: FastifyReply, { aborted }: Completion): void {
    const trace = recordedOf(request)
    if (!trace) return
    const { span } = trace
    const status = reply.statusCode
    const route = routeOf(request)
    if (route) span.setAttribute('http.route', route)
    if (aborted) span.setAttribute('muster.client_left', true)
    if (!aborted || reply.raw.headersSent) span.setAttribute('http.response.status_code', status)
    if (status >= 500) {
      span.setAttribute('error.type', String(status))
      trace.setStatus({ code: this.#api.SpanStatusCode.ERROR })
    }
    trace.end()
  }

  /** Texts of errors may contain values: only the kind is told. */
  #markFailed(span: Span, error: unknown): void {
    const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown }
    span.setAttribute('error.type', String(code ?? name ?? 'Error'))
    span.setStatus({ code: this.#api.SpanStatusCode.ERROR })
  }
}

/** @returns the trace of a request; undefined when it is not recorded, as the sampler decided */
function recordedOf(request: TracedRequest): RequestTrace | undefined {
  const trace = request[TRACE]
  return trace?.span.isRecording() ? trace : undefined
}

/** Gives the span of a request what OpenTelemetry's conventions for HTTP require at its beginning. */
function describe(span: Span, request: FastifyRequest): void {
  const { method, protocol, hostname, port, ip, raw } = request
  const route = request.routeOptions.url
  const agent = raw.headers['user-agent']
  span.updateName(route === undefined ? method : `${method} ${route}`)
  span.setAttributes({
    // Without the query, which may contain secrets.
    'url.path': request.url.split('?', 1)[0]!,
    'url.scheme': protocol,
    'server.address': hostname,
    ...(port !== null && { 'server.port': port }),
    'client.address': ip,
    'network.protocol.version': raw.httpVersion,
    ...(agent && { 'user_agent.original': agent })
  })
}

function fieldsOf(span: Span): TraceFields {
  const { traceId, spanId, traceFlags } = span.spanContext()
  return { trace_id: traceId, span_id: spanId, trace_flags: traceFlags.toString(16).padStart(2, '0') }
}
