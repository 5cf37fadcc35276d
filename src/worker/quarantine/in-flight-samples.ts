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

/** Lists what is in flight at this moment, as the primary counts it. */
const sampleInFlight = (connections: Iterable<Connection>): Sighting[] =>
  limitSightings(describeInFlight(connections)).map(({ method, route, path }) => ({ method, route, path }))

const SAMPLE_MS = 100
/** Samples of one heartbeat. After a long block, further ones are not needed. */
const MAX_SAMPLES = 12

/**
 * Samples which requests are in flight at regular moments, also while a handler computes. Workers are killed at such moments too,
 * but no timer fires then. So a sample is taken late: what was in flight at its moment is in flight until the next change.
 */
export class InFlightSampler {
  readonly #connections: Iterable<Connection>
  #samples: Sighting[][] = []
  /** The moment of the next sample, in ms of `performance.now()`. */
  #due = Number.POSITIVE_INFINITY

  constructor(connections: Iterable<Connection>) {
    this.#connections = connections
  }

  start(): void {
    this.#due = performance.now() + SAMPLE_MS
    setInterval(() => this.beforeChange(), SAMPLE_MS).unref()
  }

  /** Takes the samples whose moments have passed. Called before a request begins or ends. */
  beforeChange(): void {
    const late = performance.now() - this.#due
    if (late < 0) return
    const moments = Math.floor(late / SAMPLE_MS) + 1
    this.#due += moments * SAMPLE_MS
    const sample = sampleInFlight(this.#connections)
    for (let i = 0; i < moments && this.#samples.length < MAX_SAMPLES; i++) this.#samples.push(sample)
  }

  /** @returns the samples since the last call */
  take(): Sighting[][] {
    const taken = this.#samples
    this.#samples = []
    return taken
  }
}
