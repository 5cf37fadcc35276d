import { createHistogram } from 'node:perf_hooks'

/** What one measurement saw from the client's side. */
export interface LoadResult {
  /** Requests answered 2xx within the window. */
  readonly requests: number
  /** The length of the window. */
  readonly seconds: number
  /** Latency of the 2xx answers, request written (or connection opened) to answer complete, in ms. */
  readonly p50Ms: number
  readonly p99Ms: number
  /** Everything else, by kind: a status, an error code, a time-out, a connection that ended without an answer. */
  readonly failures: Readonly<Record<string, number>>
}

/** Counts answers and failures of one measurement; latencies are kept to the microsecond, three digits exact. */
export class Tally {
  readonly #latency = createHistogram({ lowest: 1, highest: 60_000_000, figures: 3 })
  readonly #failures: Record<string, number> = {}
  #requests = 0

  answered(status: number, ms: number): void {
    if (status >= 200 && status <= 299) {
      this.#requests++
      this.#latency.record(Math.max(1, Math.round(ms * 1000)))
    } else this.failed(`status ${status}`)
  }

  failed(kind: string, times = 1): void {
    this.#failures[kind] = (this.#failures[kind] ?? 0) + times
  }

  result(seconds: number): LoadResult {
    const percentile = (p: number) => (this.#requests > 0 ? this.#latency.percentile(p) / 1000 : Number.NaN)
    return {
      requests: this.#requests,
      seconds,
      p50Ms: percentile(50),
      p99Ms: percentile(99),
      failures: this.#failures
    }
  }
}
