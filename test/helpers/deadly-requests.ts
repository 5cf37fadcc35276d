import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { cleanup } from './cleanup.ts'
import { type Answer, Connection, NoAnswer, once } from './http.ts'
import { muster, type Service } from './service.ts'

const PAUSE_MS = 50

/** Clients of innocent routes, each on a connection that it keeps. Deaths of workers cost them answers, and nothing else may. */
export class InnocentLoad {
  answered = 0
  /** Answers other than 200, and requests without an answer. */
  failed: string[] = []
  readonly #port: number
  #stopping = false
  readonly #clients: Promise<void>[]

  constructor(t: TestContext, port: number, paths: string[]) {
    cleanup(t, () => this.stop())
    this.#port = port
    this.#clients = paths.map((path) => this.#client(path))
  }

  /** Resolves when so many requests more have been answered. */
  async more(answers: number): Promise<void> {
    const goal = this.answered + answers
    while (this.answered < goal) await new Promise((resolve) => setTimeout(resolve, 20))
  }

  async stop(): Promise<void> {
    this.#stopping = true
    await Promise.all(this.#clients)
  }

  async #client(path: string): Promise<void> {
    while (!this.#stopping) {
      const connection = await Connection.open(this.#port)
      try {
        while (!this.#stopping && !connection.ended) {
          this.#check(path, await connection.request('GET', path))
          // Slower than the samples, so that requests were sampled when enough of them are answered.
          await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
        }
      } catch (error) {
        this.failed.push(`${path}: ${(error as Error).message}`)
      } finally {
        connection.close()
      }
    }
  }

  #check(path: string, { status }: Answer): void {
    if (status === 200) this.answered++
    else this.failed.push(`${path}: ${status}`)
  }
}

export const isQuarantined = ({ status, body }: Answer): boolean =>
  status === 503 && (JSON.parse(body) as { code: string }).code === 'ROUTE_QUARANTINED'

/** What the primary knows, for the message of a failure. */
export async function evidence(service: Service): Promise<string> {
  const { stdout } = await muster(service, 'quarantine', 'list', '--json')
  const about = service.lines.filter(({ msg }) => /^(requests in flight|worker exited|route quarantined)/.test(msg))
  return [stdout, ...about.map((line) => JSON.stringify(line))].join('\n')
}

/**
 * Sends requests that end workers, one after the other, until they are refused.
 * @param pathOf the path of each request
 * @returns the refusal, and the number of workers that died
 */
export async function dieUntilRefused(
  service: Service,
  method: string,
  pathOf: (i: number) => string
): Promise<{ refusal: Answer; deaths: number }> {
  for (let deaths = 0; ; deaths++) {
    if (deaths > 5) assert.fail(`${method} ${pathOf(0)} ended more than five workers:\n${await evidence(service)}`)
    const from = service.lines.length
    try {
      const refusal = await once(service.port, method, pathOf(deaths))
      assert.ok(isQuarantined(refusal), JSON.stringify(refusal))
      return { refusal, deaths }
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error
      await service.line(({ msg }) => msg === 'worker exited', from)
      // With all workers: innocent requests would otherwise meet in the last one, where they say less, on a slow machine for long.
      await service.line(({ msg }) => msg === 'worker ready', from)
    }
  }
}
