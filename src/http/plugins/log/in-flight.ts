import type { IncomingMessage } from 'node:http'
import type { FastifyInstance, FastifyReply } from 'fastify'
import fp from 'fastify-plugin'
import { Counter } from 'prom-client'
import type { InFlight } from '../../../ipc/messages.ts'
import { MAX_PATH } from '../../../ipc/sightings.ts'
import type { QuarantineGuard } from '../quarantine/quarantine-guard.ts'

const REPLY = Symbol('reply')
type MarkedRequest = IncomingMessage & { [REPLY]?: FastifyReply }

export interface InFlightOptions {
  /** Undefined where there is no primary. */
  quarantine: QuarantineGuard | undefined
}

/**
 * Makes Fastify's view of a request reachable from Node's request object, for {@link replyOf}, and lets the quarantine sample and
 * refuse requests. All are in one hook, because every hook costs each request some time.
 */
export const inFlight = fp(async (app, { quarantine }: InFlightOptions) => {
  countRefusals(app, quarantine)
  app.completion.observe(() => quarantine?.beforeChange?.())
  app.addHook('onRequest', (request, reply, done) => {
    quarantine?.beforeChange?.()
    ;(request.raw as MarkedRequest)[REPLY] = reply
    if (quarantine?.isActive) quarantine.check(request, reply, done)
    else done()
  })
})

function countRefusals(app: FastifyInstance, quarantine: QuarantineGuard | undefined): void {
  const refused = new Counter({
    name: 'quarantined_requests_total',
    help: 'Requests refused because their route is quarantined, by route.',
    labelNames: ['route'],
    registers: [app.metrics]
  })
  if (quarantine) quarantine.onRefused = (route) => refused.inc({ route })
}

/** @returns Fastify's reply to a request of Node; undefined before the app has the request */
export const replyOf = (raw: IncomingMessage): FastifyReply | undefined => (raw as MarkedRequest)[REPLY]

/** Describes a request for operators: without its query, which may contain secrets. */
export function describeRequest(raw: IncomingMessage): InFlight {
  const reply = replyOf(raw)
  const url = reply?.request.originalUrl ?? raw.url ?? ''
  return {
    id: String(reply?.request.id ?? ''),
    method: raw.method ?? '',
    route: reply?.request.routeOptions.url ?? '',
    path: url.split('?', 1)[0]!.slice(0, MAX_PATH),
    ageMs: Math.round(reply?.elapsedTime ?? 0)
  }
}
