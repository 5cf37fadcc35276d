import type { FastifyPluginAsync } from 'fastify'
import { SnapshotStream } from '../index.ts'

/** Two readings that are closer together than this, in ms, give no new rate: a single hit would make it jump. */
const MIN_INTERVAL_MS = 500
/** Two readings that are further apart than this, in ms, give no rate. */
const MAX_INTERVAL_MS = 5000

/** `/events`: server-sent events for the page, one snapshot per second: hits, hits per second, the workers and their requests. */
export const events: FastifyPluginAsync = async (app) => {
  const { slot, pid, generation } = app.worker
  const servedBy = { slot, pid, generation }
  const hitRate = new HitRate()
  const stream = new SnapshotStream(app, async () => {
    const [hits, counts] = await Promise.all([
      app.shared.hits.read().catch(() => null),
      app.workerRequestCounts().catch(() => [])
    ])
    const { state, desired, workers } = app.cluster()
    const requests = new Map(counts.map((worker) => [worker.pid, worker.requests]))
    return {
      hits,
      hitsPerSecond: hitRate.update(hits),
      state,
      desired,
      workers: workers.map((worker) => ({ ...worker, requests: requests.get(worker.pid) ?? null })),
      servedBy,
      banner: app.shared.settings.get('banner')
    }
  })
  const options = { config: { session: false, quiet: true, resumable: true }, exposeHeadRoute: false } as const
  app.get('/events', options, (_request, reply) => stream.add(reply))
}

/** Hits per second of all workers and hosts together, computed from readings of the shared counter. */
class HitRate {
  #last: { hits: number; at: number } | undefined
  #value: number | null = null

  /**
   * Takes a reading.
   * @param hits null while Redis is away
   * @returns hits per second, rounded to tenths; null when the previous reading is missing or too old
   */
  update(hits: number | null): number | null {
    const at = performance.now()
    const last = this.#last
    const ms = last ? at - last.at : Number.POSITIVE_INFINITY
    if (hits !== null && ms < MIN_INTERVAL_MS) return this.#value
    this.#last = hits === null ? undefined : { hits, at }
    const isComparable = hits !== null && last !== undefined && ms <= MAX_INTERVAL_MS
    this.#value = isComparable ? Math.round(((hits - last.hits) * 10_000) / ms) / 10 : null
    return this.#value
  }
}
