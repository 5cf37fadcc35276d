import { setTimeout as sleep } from 'node:timers/promises'
import { cleanup } from './cleanup.ts'
import { Connection } from './http.ts'

/** Two clients that ask all the time, and wait for each answer. */
export class Good {
  answered = 0
  readonly failures: string[] = []
  readonly #latencies: number[] = []
  readonly #clients: Promise<void>[]
  readonly #pauseMs: number
  #stopping = false

  /** @param pauseMs before each request of a client */
  constructor(t: { after(fn: () => unknown): void }, port: number, pauseMs = 0) {
    this.#pauseMs = pauseMs
    this.#clients = [this.#client(port, 'GET', '/livez'), this.#client(port, 'POST', '/hits')]
    cleanup(t, () => this.stop())
  }

  async stop(): Promise<void> {
    this.#stopping = true
    await Promise.all(this.#clients)
  }

  /** So much of the answers took at most this, in ms. */
  percentile(part: number): number {
    const sorted = this.#latencies.sort((a, b) => a - b)
    return sorted[Math.min(Math.floor(sorted.length * part), sorted.length - 1)] ?? 0
  }

  async #client(port: number, method: string, path: string): Promise<void> {
    const connection = await Connection.open(port)
    while (!this.#stopping) {
      if (this.#pauseMs > 0) await sleep(this.#pauseMs)
      const started = performance.now()
      const answer = await connection.request(method, path).catch((error: Error) => error)
      this.#latencies.push(performance.now() - started)
      if ('status' in answer && answer.status === 200) this.answered++
      else return void this.failures.push(`${method} ${path}: ${JSON.stringify(answer)} ${answer}`)
    }
    connection.close()
  }
}
