import type { IncomingMessage } from 'node:http'
import type { FastifyReply } from 'fastify'
import fp from 'fastify-plugin'
import type { InFlight } from '../../../ipc/messages.ts'

const REPLY = Symbol('reply')
type Known = IncomingMessage & { [REPLY]?: FastifyReply }

/** Makes what Fastify knows of a request reachable from node's, for those who know only that. */
export const inFlight = fp(async (app) => {
  app.addHook('onRequest', (request, reply, done) => {
    ;(request.raw as Known)[REPLY] = reply
    done()
  })
})

/** A request as people may see it: the template of its route, never its URL, whose query may have anything in it. */
export function describeRequest(raw: IncomingMessage): InFlight {
  const reply = (raw as Known)[REPLY]
  return {
    id: String(reply?.request.id ?? ''),
    method: raw.method ?? '',
    route: reply?.request.routeOptions.url ?? '',
    ageMs: Math.round(reply?.elapsedTime ?? 0)
  }
}
