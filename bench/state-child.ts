import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { createHistogram } from 'node:perf_hooks'
import { pino } from 'pino'
import { loadConfig } from '../src/config.ts'
import { buildApp } from '../src/http/app.ts'
import { createRegistry } from '../src/http/registry.ts'
import { createChannel } from '../src/ipc/channel.ts'
import { RedisLink } from '../src/state/redis.ts'
import { Shared } from '../src/state/shared.ts'

/** Where a state can be kept, in the order of the table. */
export type WayName = 'local' | 'ipc' | 'setting' | 'incr' | 'counter'

/** Latency of one operation, in µs. */
export interface Latency {
  readonly p50: number
  readonly p99: number
}

export interface Measured {
  /** One operation after the other. */
  readonly alone: Latency
  /** Many at a time; CPU of this process, user and system, in µs an operation. */
  readonly crowd: Latency & { readonly perSecond: number; readonly cpu: number }
}

export type AskOfWorker = {
  /** Connects; answers the ways that there are. */
  open: { args: { redisUrl: string }; result: WayName[] }
  measure: { args: { way: WayName; seconds: number; atATime: number }; result: Measured }
}
export type AskOfPrimary = { value: { args: null; result: number } }

/** One operation: a promise of its end, or its end itself. */
type Operation = () => unknown
const channel = createChannel<never, never, AskOfPrimary, AskOfWorker>(process)
/** So many operations that take no I/O are timed as one. */
const CHUNK = 1000

let ways: { [Way in WayName]?: Operation } = {}

channel.answer('open', async ({ redisUrl }) => {
  const { shared, redis } = await openApp(redisUrl)
  const counter = shared.counter('bench')
  let variable = 0
  ways = {
    local: () => ++variable,
    ipc: () => channel.ask('value', null, 5000),
    setting: () => shared.settings.get('banner'),
    incr: () => redis.incr('bench:incr'),
    counter: () => counter.increment()
  }
  return Object.keys(ways) as WayName[]
})

channel.answer('measure', async ({ way, seconds, atATime }) => {
  const operation = ways[way]!
  const run = operation() instanceof Promise ? asynchronous : synchronous
  const alone = (await run(operation, seconds, 1)).latency
  const before = process.cpuUsage()
  const { latency, count, ms } = await run(operation, seconds, atATime)
  const { user, system } = process.cpuUsage(before)
  return { alone, crowd: { ...latency, perSecond: (count * 1000) / ms, cpu: (user + system) / count } }
})

async function asynchronous(operation: Operation, seconds: number, atATime: number) {
  const tally = new Tally(seconds)
  const client = async () => {
    for (let from = performance.now(); from < tally.end; from = performance.now()) {
      await operation()
      tally.took(performance.now() - from, 1)
    }
  }
  await Promise.all(Array.from({ length: atATime }, client))
  return tally.result()
}

function synchronous(operation: Operation, seconds: number) {
  const tally = new Tally(seconds)
  for (let from = performance.now(); from < tally.end; from = performance.now()) {
    for (let i = 0; i < CHUNK; i++) operation()
    tally.took(performance.now() - from, CHUNK)
  }
  return tally.result()
}

class Tally {
  readonly end: number
  readonly #begin = performance.now()
  /** In picoseconds. */
  readonly #histogram = createHistogram({ figures: 3 })
  #count = 0

  constructor(seconds: number) {
    this.end = this.#begin + seconds * 1000
  }

  took(ms: number, operations: number): void {
    this.#count += operations
    this.#histogram.record(Math.max(1, Math.round((ms * 1e9) / operations)))
  }

  result(): { latency: Latency; count: number; ms: number } {
    const micros = (percentile: number) => this.#histogram.percentile(percentile) / 1e6
    return { latency: { p50: micros(50), p99: micros(99) }, count: this.#count, ms: performance.now() - this.#begin }
  }
}

/** The app of a worker, without the worker: what a route finds in `app.shared`. */
async function openApp(redisUrl: string) {
  const config = loadConfig({ SESSION_SECRET: 'only-for-as-long-as-this-bench-runs' })
  const log = pino({ level: 'warn' }, process.stderr)
  const link = new RedisLink(redisUrl, config.redis.timeoutMs, log)
  await link.start(async () => {})
  const draining = new AbortController().signal
  const self = { slot: 0, pid: process.pid, generation: 1, host: hostname() }
  const shared = new Shared({
    link,
    log,
    self,
    instance: randomUUID(),
    draining,
    idleMs: config.session.idleMs,
    relay: async () => ({ acks: [], missing: [] })
  })
  return await buildApp({
    config,
    log,
    self,
    link,
    shared,
    sessionSecrets: config.session.secrets!,
    registry: createRegistry(),
    service: () => ({ state: 'running', desired: 1, workers: [], redis: true }),
    pulse: async () => [],
    collect: async () => ({ workers: [], primary: [], missing: [] }),
    draining,
    primary: { command: () => Promise.reject(new Error('it is alone')), watch: () => () => {} },
    routes: async () => {}
  })
}

process.on('disconnect', () => process.exit(0))
