import { setTimeout as sleep } from 'node:timers/promises'
import { counterValues, decreases } from './load/counter-values.ts'
import type { CpuWaits } from './load/cpu-waits.ts'
import { askOnce } from './load/find-requests.ts'
import type { Address } from './load/http-connection.ts'
import type { MetricsSeen } from './observations.ts'

const EVERY_MS = 500
/** The primary waits for a worker for 1 s. The rest is for the page itself. */
const LIMIT_MS = 1500
/** A scrape may reach a worker that is stopped. Then another one is sent, as often as this. */
const MAX_TRIES = 8
const TRY_TIMEOUT_MS = 60_000
const MAX_SHOWN = 20
const REQUEST = { method: 'GET', path: '/metrics' }

/** Scrapes /metrics all the time, as Prometheus does. */
export class MetricsWatch {
  readonly #address: Address
  readonly #waits: CpuWaits
  readonly #seen: MetricsSeen = { scrapes: 0, late: 0, limitMs: LIMIT_MS, slowestMs: 0, decreased: [] }
  #last = new Map<string, number>()
  #isStopping = false
  #running: Promise<void> | undefined
  /** False while no worker can answer because the only one was ended. */
  isJudged = true

  constructor(address: Address, waits: CpuWaits) {
    this.#address = address
    this.#waits = waits
  }

  /** @returns why there is nothing to watch */
  async start(): Promise<string | undefined> {
    const first = await askOnce(this.#address, REQUEST, TRY_TIMEOUT_MS).catch(() => undefined)
    if (first?.status !== 200) return `GET /metrics answers with ${first?.status ?? 'nothing'}`
    this.#last = counterValues(first.body)
    this.#running = this.#loop()
    return undefined
  }

  async stop(): Promise<MetricsSeen> {
    this.#isStopping = true
    await this.#running
    return this.#seen
  }

  async #loop(): Promise<void> {
    while (!this.#isStopping) {
      await sleep(EVERY_MS)
      await this.#scrape()
    }
  }

  /** Waits for the first answer of several tries, of which each begins when the one before it is late. */
  async #scrape(): Promise<void> {
    const seen = this.#seen
    const isJudged = this.isJudged
    const startedAt = performance.now()
    const tries: Promise<{ page: string; ms: number }>[] = []
    let found: { page: string; ms: number } | undefined
    while (!found && tries.length < MAX_TRIES && !this.#isStopping) {
      tries.push(this.#try())
      found = await Promise.race([
        Promise.any(tries).catch(() => undefined),
        sleep(LIMIT_MS, undefined, { ref: false })
      ])
    }
    if (!isJudged || !this.isJudged || (!found && this.#isStopping)) return
    seen.scrapes++
    if (!found) {
      const now = performance.now()
      if (now - startedAt - this.#waits.between(startedAt, now) > LIMIT_MS) seen.late++
      return
    }
    seen.slowestMs = Math.max(seen.slowestMs, found.ms)
    if (found.ms > LIMIT_MS) seen.late++
    const values = counterValues(found.page)
    if (seen.decreased.length < MAX_SHOWN) seen.decreased.push(...decreases(this.#last, values))
    this.#last = values
  }

  async #try(): Promise<{ page: string; ms: number }> {
    const startedAt = performance.now()
    const { status, body } = await askOnce(this.#address, REQUEST, TRY_TIMEOUT_MS)
    if (status !== 200) throw new Error(`status ${status}`)
    const now = performance.now()
    return { page: body, ms: now - startedAt - this.#waits.between(startedAt, now) }
  }
}
