// What the heartbeats of each worker have said, for two minutes. Pure.

const RATE_SAMPLES = 5 // a rate is taken over this many samples, because heartbeats and status events are not in step

export const keyOf = ({ slot, pid }) => `${slot}/${pid}`

export class WorkerSamples {
  #maxMs
  /** The samples of each worker, oldest first. */
  #histories = new Map()

  constructor(maxSeconds) {
    this.#maxMs = maxSeconds * 1000
  }

  /** Takes the workers of a status. Workers that are gone are forgotten. @param now in ms, of a clock that never jumps */
  add(workers, now) {
    const alive = new Set(workers.map(keyOf))
    for (const key of this.#histories.keys()) if (!alive.has(key)) this.#histories.delete(key)
    for (const worker of workers) if (worker.requests !== undefined) this.#addOne(keyOf(worker), worker, now)
  }

  #addOne(key, { requests, inFlight, loopDelayMs, rssBytes }, now) {
    const history = this.#histories.get(key) ?? []
    const before = history.at(-RATE_SAMPLES) ?? history[0]
    const rate = before && now > before.at ? Math.max(0, ((requests - before.requests) * 1000) / (now - before.at)) : 0
    history.push({ at: now, requests, rate, inFlight, loopDelayMs, rssBytes })
    this.#histories.set(
      key,
      history.filter(({ at }) => now - at <= this.#maxMs)
    )
  }

  of(worker) {
    return this.#histories.get(keyOf(worker)) ?? []
  }

  /** Requests per second of all workers together. */
  get totalRate() {
    return [...this.#histories.values()].reduce((total, history) => total + history.at(-1).rate, 0)
  }

  /** All values of a field, of all workers. */
  valuesOf(field) {
    return [...this.#histories.values()].flatMap((history) => history.map((sample) => sample[field]))
  }

  /** The age of the oldest sample, in seconds. */
  ageAt(now) {
    return Math.max(0, ...[...this.#histories.values()].map(([first]) => (now - first.at) / 1000))
  }
}
