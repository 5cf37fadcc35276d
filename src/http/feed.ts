import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { FastifyInstance, FastifyReply } from 'fastify'

const FRAME_MS = 1000
/** How soon a browser comes back when its worker leaves, in ms. */
const RETRY_MS = 250
/** Who has read nothing for so many frames is let go. */
const PATIENCE = 30

/**
 * Server-sent events, a frame a second, made once for all who watch at this worker and only while somebody does: what a
 * frame costs does not depend on how many watch.
 */
export class Feed {
  readonly #app: Pick<FastifyInstance, 'draining' | 'log'>
  readonly #collect: () => Promise<unknown>
  /** Each with the frames in a row that it had no room for. */
  readonly #watchers = new Map<ServerResponse, number>()
  #timer: NodeJS.Timeout | undefined
  #collecting: Promise<string | undefined> | undefined

  /**
   * @param app when its worker begins to leave, every stream ends, and its browser comes back elsewhere
   * @param collect what a frame says, as JSON; where it fails there is no frame
   */
  constructor(app: Pick<FastifyInstance, 'draining' | 'log'>, collect: () => Promise<unknown>) {
    this.#app = app
    this.#collect = collect
    app.draining.addEventListener('abort', () => {
      for (const watcher of this.#watchers.keys()) end(watcher)
    })
  }

  /** The answer of a route becomes a stream. */
  add(reply: FastifyReply): void {
    reply.hijack()
    const watcher = reply.raw
    watcher.writeHead(200, {
      ...(reply.getHeaders() as OutgoingHttpHeaders),
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no'
    })
    watcher.write(`retry: ${RETRY_MS}\n\n`)
    if (this.#app.draining.aborted) {
      end(watcher)
      return
    }
    this.#watchers.set(watcher, 0)
    watcher.on('close', () => {
      this.#watchers.delete(watcher)
      if (this.#watchers.size > 0) return
      clearInterval(this.#timer)
      this.#timer = undefined
    })
    this.#timer ??= setInterval(() => void this.#sendAll(), FRAME_MS)
    void this.#frame().then((frame) => this.#send(watcher, frame))
  }

  async #sendAll(): Promise<void> {
    const frame = await this.#frame()
    for (const watcher of this.#watchers.keys()) this.#send(watcher, frame)
  }

  /** Those who ask while one is being made get that one. */
  #frame(): Promise<string | undefined> {
    this.#collecting ??= this.#collect()
      .then(
        (value) => `data: ${JSON.stringify(value)}\n\n`,
        (error: unknown) => {
          this.#app.log.warn({ err: error }, 'there is no frame for who watches')
          return undefined
        }
      )
      .finally(() => {
        this.#collecting = undefined
      })
    return this.#collecting
  }

  /** Who does not read is not waited for: a frame that does not fit is left out. */
  #send(watcher: ServerResponse, frame: string | undefined): void {
    const missed = this.#watchers.get(watcher)
    if (frame === undefined || missed === undefined || watcher.writableEnded) return
    if (!watcher.writableNeedDrain) {
      watcher.write(frame)
      if (missed > 0) this.#watchers.set(watcher, 0)
    } else if (missed >= PATIENCE) watcher.destroy()
    else this.#watchers.set(watcher, missed + 1)
  }
}

function end(watcher: ServerResponse): void {
  watcher.end(`event: bye\nretry: ${RETRY_MS}\ndata: this worker leaves\n\n`)
}
