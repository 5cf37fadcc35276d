import type { FastifyReply } from 'fastify'
import { describeRequest, replyOf } from '../../http/plugins/log/in-flight.ts'
import type { InFlight } from '../../ipc/messages.ts'
import { limitSightings, type Sighting } from '../../ipc/sightings.ts'
import type { Connection } from '../connections/connection.ts'

/** @returns the replies of requests that the app has and has not answered, without probes and the admin plane */
export function* repliesInFlight(connections: Iterable<Connection>): Generator<FastifyReply> {
  for (const { busy, http2, responses } of connections) {
    if (busy === 0) continue
    for (const request of http2?.open ?? responses.map(({ req }) => req)) {
      const reply = replyOf(request)
      if (reply && !reply.request.routeOptions.config.bypassLimits) yield reply
    }
  }
}

/** Lists these requests, the youngest first. */
export const describeInFlight = (connections: Iterable<Connection>): InFlight[] =>
  Array.from(repliesInFlight(connections), ({ request }) => describeRequest(request.raw)).sort(
    (a, b) => a.ageMs - b.ageMs
  )

/** @returns what is in flight at this moment, as the primary counts it */
export const sampleInFlight = (connections: Iterable<Connection>): Sighting[] =>
  limitSightings(describeInFlight(connections)).map(({ method, route, path }) => ({ method, route, path }))
