import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { WorkerInfo } from '../../src/http/public-types.ts'
import { cleanup } from './cleanup.ts'
import { Connection } from './http.ts'
import { parseMetrics } from './metrics.ts'
import { stopwatch } from './timed.ts'
import { until } from './until.ts'

/** Begin anew with each process. */
const OF_PROCESS = /^(process|nodejs)_/

/** Scrapes as Prometheus does, again and again on one connection, and remembers what was wrong. */
export class Scraper {
  readonly faults: string[] = []
  /** Without the time in which a process of the machine waited for a CPU. */
  slowestMs = 0
  scrapes = 0
  series = new Map<string, number>()
  readonly #connection: Connection
  readonly #ended: Promise<void>
  readonly #counts = new Map<string, number>()
  #stopping = false

  private constructor(connection: Connection) {
    this.#connection = connection
    this.#ended = this.#run()
  }

  /** @param t ends it with the test */
  static async start(t: { after(fn: () => Promise<unknown>): void }, port: number): Promise<Scraper> {
    const scraper = new Scraper(await Connection.open(port))
    cleanup(t, () => scraper.stop())
    return scraper
  }

  /** Which worker its connection is at. */
  async self(): Promise<WorkerInfo> {
    return JSON.parse((await this.#connection.request('GET', '/self')).body)
  }

  /** Resolves when a scrape that begins now is done. */
  async next(): Promise<Map<string, number>> {
    const wanted = this.scrapes + 2
    await until(() => this.scrapes >= wanted || this.faults.length > 0, 'the next scrape')
    assert.deepEqual(this.faults, [])
    return this.series
  }

  async stop(): Promise<this> {
    this.#stopping = true
    await this.#ended
    this.#connection.close()
    return this
  }

  async #run(): Promise<void> {
    while (!this.#stopping && this.faults.length < 10) {
      try {
        await this.#scrape()
      } catch (error) {
        this.faults.push((error as Error).message)
      }
      await sleep(50)
    }
  }

  async #scrape(): Promise<void> {
    const elapsedMs = stopwatch()
    const { status, body } = await this.#connection.request('GET', '/metrics')
    this.slowestMs = Math.max(this.slowestMs, elapsedMs())
    assert.equal(status, 200, body)
    this.series = parseMetrics(body)
    this.scrapes++
    const counting = new Set([...body.matchAll(/^# TYPE (\S+) (?:counter|histogram)$/gm)].map((match) => match[1]!))
    for (const [key, value] of this.series) {
      const name = key.slice(0, key.indexOf('{'))
      const family = counting.has(name) ? name : name.replace(/_(bucket|sum|count)$/, '')
      if (counting.has(family) && !OF_PROCESS.test(family)) this.#counts.set(key, this.#atLeast(key, value))
    }
    for (const [key, before] of this.#counts) if (!this.series.has(key)) this.faults.push(`${key} ${before} has gone`)
  }

  #atLeast(key: string, value: number): number {
    const before = this.#counts.get(key) ?? 0
    // Sums of seconds are added up in another order when a worker has left.
    if (value < before * (1 - 1e-12)) this.faults.push(`${key} fell from ${before} to ${value}`)
    return value
  }
}
