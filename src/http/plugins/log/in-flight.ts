import type { IncomingMessage } from 'node:http'
import type { FastifyReply } from 'fastify'
import fp from 'fastify-plugin'
import type { InFlight } from '../../../ipc/messages.ts'

const REPLY = Symbol('reply')
type MarkedRequest = IncomingMessage & { [REPLY]?: FastifyReply }

/** Makes Fastify's view of a request reachable from Node's request object, for {@link replyOf}. */
export const inFlight = fp(async (app) => {
  app.addHook('onRequest', (request, reply, done) => {
    ;(request.raw as MarkedRequest)[REPLY] = reply
    done()
  })
})

/** @returns Fastify's reply to a request of Node; undefined before the app has the request */
export const replyOf = (raw: IncomingMessage): FastifyReply | undefined => (raw as MarkedRequest)[REPLY]

/** Describes a request for operators: with the template of its route, not its URL, whose query may contain secrets. */
export function describeRequest(raw: IncomingMessage): InFlight {
  const reply = replyOf(raw)
  return {
    id: String(reply?.request.id ?? ''),
    method: raw.method ?? '',
    route: reply?.request.routeOptions.url ?? '',
    ageMs: Math.round(reply?.elapsedTime ?? 0)
  }
}
