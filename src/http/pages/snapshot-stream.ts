import type { ServerResponse } from 'node:http'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { openEventStream } from './event-stream.ts'

const FRAME_MS = 1000
/** Who has read nothing for so many frames is let go. */
const PATIENCE = 30

/**
 * Server-sent events, a frame a second, made once for all who watch at this worker and only while somebody does: what a
 * frame costs does not depend on how many watch.
 */
export class SnapshotStream {
  readonly #app: Pick<FastifyInstance, 'draining' | 'log'>
  readonly #collect: () => Promise<unknown>
  /** Each with the frames in a row that it had no room for. */
  readonly #watchers = new Map<ServerResponse, number>()
  #timer: NodeJS.Timeout | undefined
  #collecting: Promise<string | undefined> | undefined

  /** @param collect what a frame says, as JSON; where it fails there is no frame */
  constructor(app: Pick<FastifyInstance, 'draining' | 'log'>, collect: () => Promise<unknown>) {
    this.#app = app
    this.#collect = collect
  }

  /** The answer of a route becomes a stream. */
  add(reply: FastifyReply): void {
    const watcher = openEventStream(this.#app, reply)
    if (!watcher) return
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
