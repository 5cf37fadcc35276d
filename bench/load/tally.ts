import { createHistogram } from 'node:perf_hooks'
import type { RateResult } from './load.ts'

/** Counts responses and failures of one window; latencies are kept to the microsecond, three digits exact. */
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

  result(seconds: number): RateResult {
    const percentile = (p: number) => (this.#requests > 0 ? this.#latency.percentile(p) / 1000 : Number.NaN)
    const [p50Ms, p99Ms, p999Ms] = [percentile(50), percentile(99), percentile(99.9)]
    return { requests: this.#requests, seconds, p50Ms, p99Ms, p999Ms, failures: this.#failures }
  }
}
