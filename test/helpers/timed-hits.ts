import { Connection, NoAnswer } from './http.ts'
import { until } from './until.ts'

/** One answered request of a counter. Times are in ms of `performance.now()`. */
export interface TimedNumber {
  from: number
  to: number
  number: number
  /** Whether it only read the counter. */
  isRead: boolean
}

/**
 * Returns what contradicts one counter that gives each number once: repeated numbers, and requests that got a lower number than
 * one that had ended before they began. A read of n comes after the increment that got n.
 */
export function contradictions(answers: readonly TimedNumber[]): string[] {
  const found: string[] = []
  const place = ({ number, isRead }: TimedNumber) => (isRead ? number + 0.5 : number)
  const sorted = answers.toSorted((a, b) => place(a) - place(b) || a.from - b.from)
  let latestBegin: TimedNumber | undefined
  for (const [i, answer] of sorted.entries()) {
    const before = sorted[i - 1]
    if (before && !answer.isRead && before.number === answer.number && !before.isRead) {
      found.push(`number ${answer.number} was given twice`)
    }
    if (latestBegin && answer.to < latestBegin.from && place(latestBegin) < place(answer)) {
      found.push(`${describe(latestBegin)} although ${describe(answer)} had ended before`)
    }
    if (!latestBegin || answer.from > latestBegin.from) latestBegin = answer
  }
  return found
}

const describe = ({ from, to, number, isRead }: TimedNumber): string =>
  `${isRead ? 'read' : 'hit'} ${number} (${from.toFixed(2)} to ${to.toFixed(2)} ms)`

/** Clients of `/hits` that never ask twice. One of them only reads. */
export class TimedHits {
  readonly answers: TimedNumber[] = []
  /** Hits without a number, by what came instead. */
  readonly failures = new Map<string, number>()
  readonly #done: Promise<unknown>
  #isStopping = false

  constructor(port: number, clients = 8) {
    const hitting = Array.from({ length: clients }, () => this.#client(port, false))
    this.#done = Promise.all([...hitting, this.#client(port, true)])
  }

  get numbers(): number[] {
    return this.answers.filter(({ isRead }) => !isRead).map(({ number }) => number)
  }

  /** Number of hits without a number. */
  get failed(): number {
    return [...this.failures.values()].reduce((sum, times) => sum + times, 0)
  }

  /** Resolves when this number of further requests have been answered with a number. */
  more(count: number): Promise<void> {
    const wanted = this.answers.length + count
    return until(() => this.answers.length >= wanted, `${count} numbers`, 120_000)
  }

  /** Ends each client after its current request. */
  async stop(): Promise<void> {
    this.#isStopping = true
    await this.#done
  }

  async #client(port: number, isRead: boolean): Promise<void> {
    let connection: Connection | undefined
    while (!this.#isStopping) {
      if (!connection || connection.ended) connection = await Connection.open(port)
      const from = performance.now()
      try {
        const { status, body } = await connection.request(isRead ? 'GET' : 'POST', '/hits')
        const { hits, code } = JSON.parse(body) as { hits: number; code?: string }
        if (status === 200) this.answers.push({ from, to: performance.now(), number: hits, isRead })
        else if (!isRead) this.#failed(`${status} ${code}`)
      } catch (error) {
        if (!(error instanceof NoAnswer)) throw error
        if (!isRead) this.#failed(error.message)
      }
    }
    connection?.close()
  }

  #failed(what: string): void {
    this.failures.set(what, (this.failures.get(what) ?? 0) + 1)
  }
}
