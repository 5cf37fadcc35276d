import type { FastifyPluginAsync } from 'fastify'
import { SnapshotStream } from '../http/pages/snapshot-stream.ts'

/** Two readings of the counter are a rate when they are so far apart, in ms; nearer than a frame, and it would jump. */
const NEAR_MS = 500
const FAR_MS = 5000

/** `/events`: server-sent events for the page, a frame a second: hits, hits per second, the workers and what each has served. */
export const events: FastifyPluginAsync = async (app) => {
  const { slot, pid, generation } = app.worker
  const servedBy = { slot, pid, generation }
  const rate = new Rate()
  const feed = new SnapshotStream(app, async () => {
    const [hits, pulse] = await Promise.all([
      app.shared.hits.read().catch(() => null),
      app.workerRequestCounts().catch(() => [])
    ])
    const { state, desired, workers } = app.cluster()
    const requests = new Map(pulse.map((worker) => [worker.pid, worker.requests]))
    return {
      hits,
      hitsPerSecond: rate.of(hits),
      state,
      desired,
      workers: workers.map((worker) => ({ ...worker, requests: requests.get(worker.pid) ?? null })),
      servedBy,
      banner: app.shared.settings.get('banner')
    }
  })
  const options = { config: { session: false, quiet: true }, exposeHeadRoute: false } as const
  app.get('/events', options, (_request, reply) => feed.add(reply))
}

/** Hits per second, of all workers and hosts: the counter is theirs together. */
class Rate {
  #last: { hits: number; at: number } | undefined
  #value: number | null = null

  /** @returns null where the reading before is unknown, or long ago */
  of(hits: number | null): number | null {
    const at = performance.now()
    const last = this.#last
    const ms = last ? at - last.at : Number.POSITIVE_INFINITY
    if (hits !== null && ms < NEAR_MS) return this.#value
    this.#last = hits === null ? undefined : { hits, at }
    this.#value = hits === null || !last || ms > FAR_MS ? null : Math.round(((hits - last.hits) * 10_000) / ms) / 10
    return this.#value
  }
}
