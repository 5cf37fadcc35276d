import type { ServerResponse } from 'node:http'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'

const FRAME_MS = 1000
/** How soon a browser comes back when its worker leaves, in ms. */
const RETRY_MS = 250

/** `/events`: server-sent events, one frame a second, made once for all who watch at this worker and only while one does. */
export const events: FastifyPluginAsync = async (app) => {
  const feed = new Feed(app)
  app.get('/events', { config: { session: false, quiet: true } }, (_request, reply) => {
    reply.hijack()
    reply.raw.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no'
    })
    feed.add(reply.raw)
  })
}

class Feed {
  readonly #app: FastifyInstance
  readonly #watchers = new Set<ServerResponse>()
  #timer: NodeJS.Timeout | undefined
  #last: { hits: number; at: number } | undefined

  constructor(app: FastifyInstance) {
    this.#app = app
    app.draining.addEventListener('abort', () => {
      for (const watcher of this.#watchers) this.#end(watcher)
    })
  }

  add(watcher: ServerResponse): void {
    watcher.write(`retry: ${RETRY_MS}\n\n`)
    if (this.#app.draining.aborted) {
      this.#end(watcher)
      return
    }
    this.#watchers.add(watcher)
    watcher.on('close', () => {
      this.#watchers.delete(watcher)
      if (this.#watchers.size > 0) return
      clearInterval(this.#timer)
      this.#timer = this.#last = undefined
    })
    this.#timer ??= setInterval(() => void this.#send(this.#watchers), FRAME_MS)
    void this.#send([watcher])
  }

  async #send(watchers: Iterable<ServerResponse>): Promise<void> {
    const frame = `data: ${JSON.stringify(await this.#frame())}\n\n`
    // Who does not read is not waited for: a frame that does not fit is left out.
    for (const watcher of watchers) if (!watcher.writableNeedDrain && !watcher.writableEnded) watcher.write(frame)
  }

  async #frame() {
    const { state, desired, workers } = this.#app.service()
    const { slot, pid, generation } = this.#app.self
    const hits = await this.#app.shared.hits.read().catch(() => null)
    const banner = this.#app.shared.settings.get('banner')
    const servedBy = { slot, pid, generation }
    return { hits, hitsPerSecond: this.#rate(hits), state, desired, workers, servedBy, banner }
  }

  /** Of all workers and hosts: the counter is theirs together. */
  #rate(hits: number | null): number | null {
    const now = performance.now()
    const last = this.#last
    if (last && now - last.at < FRAME_MS / 2) return null
    this.#last = hits === null ? undefined : { hits, at: now }
    return hits === null || !last ? null : Math.round(((hits - last.hits) * 10_000) / (now - last.at)) / 10
  }

  #end(watcher: ServerResponse): void {
    watcher.end(`event: bye\nretry: ${RETRY_MS}\ndata: this worker leaves\n\n`)
  }
}
