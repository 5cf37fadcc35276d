import { Counter, type CounterConfiguration, Gauge, type Registry } from 'prom-client'
import type { RedisConnection } from '../../../state/redis/redis-connection.ts'
import type { SafeSessionStore } from '../../../state/sessions/session-store.ts'
import type { Counter as SharedCounter } from '../../../state/shared/counters.ts'
import { CachedHistogram, type Distribution } from './cached-histogram.ts'

const COMMAND_SECONDS = [0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]
const BATCH_SIZES = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000]

/** Measures what this worker does with Redis. */
export function measureState(
  registry: Registry,
  { redis, hits, store }: { redis: RedisConnection; hits: SharedCounter; store: SafeSessionStore }
): void {
  const registers = [registry]
  /** A count that is kept elsewhere. */
  const counter = (name: string, help: string, read: () => number) => {
    const collect: CounterConfiguration<never>['collect'] = function () {
      this.reset()
      this.inc(read())
    }
    return new Counter({ name, help, registers, collect })
  }

  new Gauge({
    name: 'redis_up',
    help: 'Whether Redis takes commands of this worker.',
    registers,
    collect() {
      this.set(redis.up ? 1 : 0)
    }
  })
  new Gauge({
    name: 'redis_circuit_state',
    help: 'State of the circuit to Redis: 1 for the one that it is in. Open: commands fail at once.',
    labelNames: ['state'],
    registers,
    collect() {
      for (const state of ['closed', 'half-open', 'open']) this.set({ state }, redis.circuit === state ? 1 : 0)
    }
  })
  counter('redis_circuit_opened_total', 'How often Redis was lost.', () => redis.opened)
  counter('redis_reconnects_total', 'Connections to Redis after the first.', () => redis.reconnects)
  const seconds = new CachedHistogram({
    name: 'redis_command_duration_seconds',
    help: 'Time from a Redis command to its reply, or to its failure, by command.',
    labelNames: ['command'],
    buckets: COMMAND_SECONDS,
    registers
  })
  const failures = new Counter({
    name: 'redis_command_failures_total',
    help: 'Redis commands that were sent and failed.',
    registers
  })
  const children = new Map<string, Distribution>()
  redis.onCommand = (name, ms, failed) => {
    let child = children.get(name)
    if (!child) children.set(name, (child = seconds.labels(name)))
    child.observe(ms / 1000)
    if (failed) failures.inc()
  }

  const batches = new CachedHistogram({
    name: 'hits_batch_size',
    help: 'Hits that went to Redis as one command.',
    buckets: BATCH_SIZES,
    registers
  }).labels()
  const counted = new Counter({ name: 'hits_total', help: 'Hits that Redis has counted for this worker.', registers })
  hits.onBatch = (size) => {
    batches.observe(size)
    counted.inc(size)
  }

  const { counts } = store
  counter('sessions_created_total', 'Sessions stored for the first time.', () => counts.created)
  counter(
    'sessions_ended_total',
    'Sessions ended by a user or an operator; those that expire are not seen.',
    () => counts.ended
  )
  counter(
    'session_conflicts_merged_total',
    'Writes of a session that met those of other requests and were merged with them.',
    () => counts.merged
  )
}
