import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { Counter } from 'prom-client'
import { DROPPED, droppedLines, type Logger, together } from '../../../common/log.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Asked by machines, often: its lines are at debug. */
    quiet?: boolean
  }
}

const REQUEST_ID = 'x-request-id'
/** Of a client's own id: nothing that needs escaping in a log or a header. */
const VALID_ID = /^[\w.:+/=-]{1,128}$/
/** Of a path, in characters: a line that is longer than 4 KiB may be mixed with those of other processes. */
const MAX_URL = 1000
/** W3C Trace Context, level 1: version, trace id, id of the caller's span, flags. Later versions may have more behind it. */
const TRACEPARENT = /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:$|-)/

/** No other process', on any host. */
const PROCESS_ID = randomBytes(9).toString('base64url')
let made = 0

/** Of `Fastify()`: every line of a request has its id. */
export const identifyRequests = {
  /** The client's `x-request-id` where it is fit for it, else a new one, of this process and a number. */
  genReqId: ({ headers }: { headers: IncomingMessage['headers'] }): string => {
    const given = headers[REQUEST_ID]
    return typeof given === 'string' && VALID_ID.test(given) ? given : `${PROCESS_ID}-${++made}`
  }
}

/** What every line of a request says of its trace, in OpenTelemetry's names; nothing when the header is absent or not valid. */
export function traceOf(header: unknown): { trace_id: string; span_id: string; trace_flags: string } | undefined {
  const [, version, trace_id, span_id, trace_flags] = TRACEPARENT.exec(typeof header === 'string' ? header : '') ?? []
  if (!trace_id || !span_id || !trace_flags || (version === '00' && String(header).length > 55)) return undefined
  return { trace_id, span_id, trace_flags }
}

/** One line a request, when it is over; its level follows the status. The id of the request is in the answer. */
export const requestLog = fp(async (app: FastifyInstance) => {
  new Counter({
    ...DROPPED,
    registers: [app.metrics],
    collect() {
      this.reset()
      this.inc(droppedLines())
    }
  })
  app.addHook('onRequest', (request, reply, done) => {
    reply.header(REQUEST_ID, request.id)
    const trace = traceOf(request.headers.traceparent)
    if (trace) request.log = reply.log = request.log.child(trace)
    done()
  })
  app.completion.observe((request, reply, { ms, aborted }) => {
    const status = reply.statusCode
    const level = status >= 500 ? 'warn' : request.routeOptions.config.quiet ? 'debug' : 'info'
    if (!(request.log as Logger).isLevelEnabled(level)) return
    const { method, ip } = request
    // Without the query, in which there may be anything.
    const url = request.url.split('?', 1)[0]!.slice(0, MAX_URL)
    const line = { method, url, status, ms: Math.round(ms * 1000) / 1000, ip, ...(aborted && { aborted }) }
    together(() => request.log[level](line, 'request'))
  })
})
