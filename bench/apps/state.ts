import { createHistogram } from 'node:perf_hooks'
import type { FastifyPluginAsync } from 'fastify'
import type {} from '../../src/http/build-app.ts'

/** Operations without I/O are timed in groups of this size. */
const GROUP = 1000

/** The app of the state benchmark: each operation on a state, measured inside a worker of the service. */
const plugin: FastifyPluginAsync = async (app) => {
  let variable = 0
  const counter = app.shared.counter('bench')
  const operations: Record<string, () => unknown> = {
    local: () => ++variable,
    ipc: () => app.workerRequestCounts(),
    setting: () => app.shared.settings.get('banner'),
    incr: () => app.redis.incr('bench:incr'),
    counter: () => counter.increment(),
    confirmed: () => counter.increment()
  }
  app.get('/measure', { config: { session: false } }, async ({ query }) => {
    const { way, seconds, concurrency } = query as { way: string; seconds: string; concurrency: string }
    return measure(operations[way]!, Number(seconds), Number(concurrency))
  })
}
export default plugin

/** @returns latency in µs, operations per second, and CPU of this process in µs per operation */
async function measure(operation: () => unknown, seconds: number, concurrency: number) {
  // Picoseconds, so that an operation of a few nanoseconds has three digits.
  const histogram = createHistogram({ figures: 3 })
  const isAsync = operation() instanceof Promise
  const cpu = process.cpuUsage()
  const begun = performance.now()
  const end = begun + seconds * 1000
  let count = 0
  const took = (ms: number, operations: number) => {
    count += operations
    histogram.record(Math.max(1, Math.round((ms * 1e9) / operations)))
  }
  const client = async () => {
    for (let from = performance.now(); from < end; from = performance.now()) {
      if (isAsync) await operation()
      else for (let i = 0; i < GROUP; i++) operation()
      took(performance.now() - from, isAsync ? 1 : GROUP)
    }
  }
  await Promise.all(Array.from({ length: concurrency }, client))
  const { user, system } = process.cpuUsage(cpu)
  const [p50, p99] = [histogram.percentile(50) / 1e6, histogram.percentile(99) / 1e6]
  return { p50, p99, perSecond: (count * 1000) / (performance.now() - begun), cpu: (user + system) / count }
}
