import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import fp from 'fastify-plugin'
import { Counter } from 'prom-client'
import { DROPPED_LINES, droppedLines, type Logger, logInBatch, markTraced } from '../../../common/log.ts'
import { resumptionOf } from '../../transferable.ts'
import type { TraceFields, Tracing } from '../tracing/tracing.ts'

const REQUEST_ID = 'x-request-id'
/** Client ids that need no escaping in a log line or a header. */
const VALID_ID = /^[\w.:+/=-]{1,128}$/
/** Maximum length of a logged path, in characters: lines over 4 KiB may be interleaved with those of other processes. */
const MAX_URL = 1000
/** W3C Trace Context, level 1: version, trace id, parent span id, flags. Later versions may append fields. */
const TRACEPARENT = /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:$|-)/
/** Length of a `traceparent` header of version 00, which allows no further fields. */
const TRACEPARENT_LENGTH = 55

/** Unique among the processes of all hosts. */
const PROCESS_ID = randomBytes(9).toString('base64url')
let lastNumber = 0

/**
 * Makes Fastify's `genReqId`, by options of the app: the header in which clients send an id, false for none, and a function
 * that makes ids.
 * @returns a function that returns the client's id if it is valid, else the app's, else the process id and a number; a request
 * that came from another worker keeps its id
 */
export function createRequestIds({
  requestIdHeader = REQUEST_ID,
  genReqId
}: Pick<FastifyServerOptions, 'requestIdHeader' | 'genReqId'>): (request: IncomingMessage) => string {
  const header = requestIdHeader === false ? undefined : nameOf(requestIdHeader)
  return (request) => {
    const given = resumptionOf(request)?.requestId
    if (given !== undefined) return given
    const sent = header === undefined ? undefined : request.headers[header]
    if (typeof sent === 'string' && VALID_ID.test(sent)) return sent
    const made = genReqId === undefined ? undefined : String(genReqId(request))
    if (made !== undefined && VALID_ID.test(made)) return made
    lastNumber++
    return `${PROCESS_ID}-${lastNumber}`
  }
}

/** In Fastify `true` means the header `request-id`. */
const nameOf = (header: string | true) => (header === true ? 'request-id' : header.toLowerCase())

/**
 * Parses a `traceparent` header into OpenTelemetry's log fields.
 * @returns undefined when the header is missing or invalid
 */
export function traceOf(header: unknown): TraceFields | undefined {
  if (typeof header !== 'string') return undefined
  const [, version, trace_id, span_id, trace_flags] = TRACEPARENT.exec(header) ?? []
  if (!trace_id || !span_id || !trace_flags) return undefined
  if (version === '00' && header.length > TRACEPARENT_LENGTH) return undefined
  return { trace_id, span_id, trace_flags }
}

export interface RequestLogOptions {
  /** Undefined: lines have the ids of the `traceparent` that the client has sent. */
  tracing?: Tracing | undefined
}

/**
 * Logs one line per request when the request ends: at warn for status 500 and above, at debug for quiet routes, else at info.
 * Every line of a request and its answer contain the id of the request.
 */
export const requestLog = fp(async (app: FastifyInstance, { tracing }: RequestLogOptions) => {
  new Counter({
    ...DROPPED_LINES,
    registers: [app.metrics],
    collect() {
      this.reset()
      this.inc(droppedLines())
    }
  })
  app.addHook('onRequest', (request, reply, done) => {
    reply.header(REQUEST_ID, request.id)
    const trace = tracing?.fieldsOf(request) ?? traceOf(request.headers.traceparent)
    if (trace) {
      request.log = markTraced(request.log.child(trace))
      reply.log = request.log
    }
    done()
  })
  app.completion.observe((request, reply, { ms, aborted }) => {
    const status = reply.statusCode
    const level = levelOf(status, request.routeOptions.config.quiet === true)
    // A logger that the app makes for a request may have less than pino's.
    if ((request.log as Partial<Logger>).isLevelEnabled?.(level) === false) return
    const { method, ip } = request
    // Without the query, which may contain secrets.
    const url = request.url.split('?', 1)[0]!.slice(0, MAX_URL)
    const line = {
      method,
      url,
      status,
      ms: Math.round(ms * 1000) / 1000,
      ip,
      ...(aborted && { aborted }),
      ...(resumptionOf(request.raw) && { resumed: true })
    }
    logInBatch(() => request.log[level](line, 'request'))
  })
})

function levelOf(status: number, isQuiet: boolean): 'warn' | 'info' | 'debug' {
  if (status >= 500) return 'warn'
  return isQuiet ? 'debug' : 'info'
}
