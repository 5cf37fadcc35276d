import { setTimeout as sleep } from 'node:timers/promises'
import { type Cleans, cleanup } from './cleanup.ts'
import { Connection } from './http.ts'

export interface Answered {
  slot: number
  /** How many other requests its worker answered while it was on its way: what it waited for, without the speed of the machine. */
  behind: number
}

/**
 * Clients with a keep-alive connection each, which ask for `/block` of the fixture `blocking`, think, and ask again. Nothing is
 * retried. However slow the machine is, each waits for its answer.
 */
export class ThinkingClients {
  readonly connections: Connection[]
  readonly answers: Answered[] = []
  /** Kinds of failure and how often. */
  readonly failures = new Map<string, number>()
  /** The slot that answered last, by connection. */
  readonly slots: (number | undefined)[] = []
  readonly #blockMs: number
  readonly #answersOf = new Map<number, number>()
  #running: Promise<void>[] = []
  #active = new Set<number>()
  readonly #watchers = new Set<() => void>()

  private constructor(connections: Connection[], blockMs: number) {
    this.connections = connections
    this.#blockMs = blockMs
  }

  /** Opens the connections and asks once on each. @param blockMs how long a request blocks its worker */
  static async open(t: Cleans, port: number, count: number, blockMs: number): Promise<ThinkingClients> {
    const connections: Connection[] = []
    // More at once would overflow the queue of the listening socket.
    while (connections.length < count) {
      const some = Array.from({ length: Math.min(200, count - connections.length) }, () => Connection.open(port))
      connections.push(...(await Promise.all(some)))
    }
    const clients = new ThinkingClients(connections, blockMs)
    cleanup(t, async () => {
      await clients.activate([], 0)
      for (const connection of connections) connection.close()
    })
    await clients.askAll()
    return clients
  }

  /** Asks once on every connection, without blocking a worker. */
  async askAll(): Promise<void> {
    for (let from = 0; from < this.connections.length; from += 200) {
      const some = this.connections.slice(from, from + 200)
      await Promise.all(some.map((_, i) => this.#ask(from + i, 0)))
    }
  }

  /** Lets only these connections ask, with this pause between two requests. Resolves when the others are quiet. */
  async activate(ids: readonly number[], thinkMs: number): Promise<void> {
    this.#active = new Set()
    await Promise.all(this.#running)
    this.#active = new Set(ids)
    this.#running = ids.map((id) => this.#run(id, thinkMs, this.#active))
  }

  /** Resolves when `check`, which runs after every answer, is true. Rejects when a request fails. */
  until(check: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = () => {
        if (this.failures.size > 0) reject(new Error(`requests failed: ${[...this.failures]}`))
        else if (check()) resolve()
        else return
        this.#watchers.delete(look)
      }
      this.#watchers.add(look)
      look()
    })
  }

  async #run(id: number, thinkMs: number, active: ReadonlySet<number>): Promise<void> {
    // They do not all ask in the same moment.
    await sleep(Math.random() * thinkMs)
    while (active === this.#active) {
      if (!(await this.#ask(id, this.#blockMs))) return
      if (thinkMs > 0) await sleep(thinkMs)
    }
  }

  async #ask(id: number, blockMs: number): Promise<boolean> {
    const before = new Map(this.#answersOf)
    try {
      const { status, body } = await this.connections[id]!.request('GET', `/block?ms=${blockMs}`)
      if (status !== 200) throw new Error(`status ${status}`)
      const { slot } = JSON.parse(body) as { slot: number }
      const answered = this.#answersOf.get(slot) ?? 0
      this.#answersOf.set(slot, answered + 1)
      this.slots[id] = slot
      if (blockMs > 0) this.answers.push({ slot, behind: answered - (before.get(slot) ?? 0) })
      this.#changed()
      return true
    } catch (error) {
      const kind = (error as Error).message
      this.failures.set(kind, (this.failures.get(kind) ?? 0) + 1)
      this.#changed()
      return false
    }
  }

  #changed(): void {
    for (const look of [...this.#watchers]) look()
  }
}
