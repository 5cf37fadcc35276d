import type { ServerResponse } from 'node:http'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { openEventStream } from './event-stream.ts'

const INTERVAL_MS = 1000
/** A client that has read nothing for this many snapshots in a row is disconnected. */
const MAX_MISSED = 30

/**
 * Server-sent events with one snapshot per second. A snapshot is taken once for all clients of this worker, and only while
 * there is a client, so its cost does not depend on the number of clients.
 */
export class SnapshotStream {
  readonly #app: Pick<FastifyInstance, 'draining' | 'log'>
  readonly #takeSnapshot: () => Promise<unknown>
  /** Each client with the number of snapshots in a row that it missed because it did not read. */
  readonly #clients = new Map<ServerResponse, number>()
  #timer: NodeJS.Timeout | undefined
  #running: Promise<string | undefined> | undefined

  /** @param takeSnapshot returns a value that JSON can express; when it rejects, the snapshot is skipped */
  constructor(app: Pick<FastifyInstance, 'draining' | 'log'>, takeSnapshot: () => Promise<unknown>) {
    this.#app = app
    this.#takeSnapshot = takeSnapshot
  }

  /** Turns the answer of a route into this stream. The client gets a first snapshot at once. */
  add(reply: FastifyReply): void {
    const client = openEventStream(this.#app, reply)
    if (!client) return
    this.#clients.set(client, 0)
    client.on('close', () => {
      this.#clients.delete(client)
      if (this.#clients.size > 0) return
      clearInterval(this.#timer)
      this.#timer = undefined
    })
    this.#timer ??= setInterval(() => void this.#sendToAll(), INTERVAL_MS)
    void this.#nextEvent().then((event) => this.#send(client, event))
  }

  async #sendToAll(): Promise<void> {
    const event = await this.#nextEvent()
    for (const client of this.#clients.keys()) this.#send(client, event)
  }

  /** Takes a snapshot. Callers share the one that is being taken. */
  #nextEvent(): Promise<string | undefined> {
    this.#running ??= this.#takeSnapshot()
      .then(
        (value) => `data: ${JSON.stringify(value)}\n\n`,
        (error: unknown) => {
          this.#app.log.warn({ err: error }, 'snapshot failed')
          return undefined
        }
      )
      .finally(() => {
        this.#running = undefined
      })
    return this.#running
  }

  /** Skips a client whose buffer is full: a slow client gets fewer snapshots instead of late ones. */
  #send(client: ServerResponse, event: string | undefined): void {
    const missed = this.#clients.get(client)
    if (event === undefined || missed === undefined || client.writableEnded) return
    if (!client.writableNeedDrain) {
      client.write(event)
      this.#clients.set(client, 0)
    } else if (missed >= MAX_MISSED) client.destroy()
    else this.#clients.set(client, missed + 1)
  }
}
