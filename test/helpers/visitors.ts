import { setTimeout as sleep } from 'node:timers/promises'
import { cleanup } from './cleanup.ts'
import { Connection } from './http.ts'

/** Clients that open one connection after the other, and some that keep one open and use it now and then. They never retry. */
export class Visitors {
  readonly #port: number
  readonly #clients: Promise<void>[] = []
  readonly #kept: Connection[] = []
  #stopping = false
  /** Answers by status. */
  readonly statuses = new Map<number, number>()
  /** Requests without an answer, by reason. */
  readonly lost = new Map<string, number>()

  /** Stops with the test at the latest. @param path the paths that are requested in turn */
  constructor(
    t: { after(fn: () => Promise<unknown>): void },
    port: number,
    { fresh, kept, paths }: { fresh: number; kept: number; paths: string[] }
  ) {
    cleanup(t, () => this.stop())
    this.#port = port
    for (let i = 0; i < fresh; i++) this.#clients.push(this.#visit(paths, i))
    for (let i = 0; i < kept; i++) this.#clients.push(this.#stay())
  }

  get total(): number {
    return [...this.statuses.values()].reduce((sum, count) => sum + count, 0)
  }

  /** Answers with a status of 500 or above. */
  get errors(): number {
    return [...this.statuses].reduce((sum, [status, count]) => sum + (status >= 500 ? count : 0), 0)
  }

  async stop(): Promise<void> {
    this.#stopping = true
    await Promise.all(this.#clients)
    for (const connection of this.#kept) connection.close()
  }

  async #visit(paths: string[], first: number): Promise<void> {
    for (let i = first; !this.#stopping; i++) {
      try {
        const connection = await Connection.open(this.#port)
        this.#count((await connection.request('GET', paths[i % paths.length]!)).status)
        connection.close()
      } catch (error) {
        this.#lose(error)
      }
      await sleep(4)
    }
  }

  /** Uses one connection until the end: if the server closes it, it is lost. */
  async #stay(): Promise<void> {
    try {
      const connection = await Connection.open(this.#port)
      this.#kept.push(connection)
      while (!this.#stopping) {
        await connection.request('GET', '/echo?id=1')
        await sleep(200)
      }
    } catch (error) {
      this.#lose(error)
    }
  }

  #count(status: number): void {
    this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1)
  }

  #lose(error: unknown): void {
    const { message } = error as Error
    this.lost.set(message, (this.lost.get(message) ?? 0) + 1)
  }
}
