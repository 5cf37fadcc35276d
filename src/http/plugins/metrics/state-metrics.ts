import { Counter, Gauge, type Registry } from 'prom-client'
import type { RedisConnection } from '../../../state/redis/redis-connection.ts'
import type { SafeSessionStore } from '../../../state/sessions/session-store.ts'
import type { Counter as SharedCounter } from '../../../state/shared/counters.ts'
import { CachedHistogram, type Distribution } from './cached-histogram.ts'

const COMMAND_SECONDS = [0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]
const BATCH_SIZES = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000]

interface MeasuredState {
  redis: RedisConnection
  hits: SharedCounter
  store: SafeSessionStore
}

/** Measures this worker's use of Redis, hits and sessions. */
export function measureState(registry: Registry, { redis, hits, store }: MeasuredState): void {
  if (redis.isOff) return
  measureConnection(registry, redis)
  measureConfirmations(registry, redis)
  measureCommands(registry, redis)
  measureHits(registry, hits)
  measureSessions(registry, store)
}

function measureConnection(registry: Registry, redis: RedisConnection): void {
  const registers = [registry]
  new Gauge({
    name: 'redis_up',
    help: 'Whether Redis accepts commands of this worker.',
    registers,
    collect() {
      this.set(redis.up ? 1 : 0)
    }
  })
  new Gauge({
    name: 'redis_circuit_state',
    help: 'State of the circuit breaker: 1 for the current state, 0 for the others. While it is open, commands fail at once.',
    labelNames: ['state'],
    registers,
    collect() {
      for (const state of ['closed', 'half-open', 'open']) this.set({ state }, redis.circuit === state ? 1 : 0)
    }
  })
  mirrorCount(registry, 'redis_circuit_opened_total', 'How often Redis was lost.', () => redis.opened)
  mirrorCount(registry, 'redis_reconnects_total', 'Connections to Redis after the first.', () => redis.reconnects)
}

function measureConfirmations(registry: Registry, { confirmations }: RedisConnection): void {
  mirrorOutcomes(
    registry,
    'redis_confirmations_total',
    'Groups of writes that the replicas of REDIS_DURABILITY have confirmed, and groups that they have not.',
    () => confirmations?.groups ?? { confirmed: 0, unconfirmed: 0 }
  )
  mirrorOutcomes(
    registry,
    'redis_replays_total',
    'Last batches of counters that another Redis primary had already, or lacked and counted now.',
    () => confirmations?.replays ?? { present: 0, restored: 0 }
  )
}

function measureCommands(registry: Registry, redis: RedisConnection): void {
  const registers = [registry]
  const seconds = new CachedHistogram({
    name: 'redis_command_duration_seconds',
    help: 'Time from a Redis command to its reply or failure, by command.',
    labelNames: ['command'],
    buckets: COMMAND_SECONDS,
    registers
  })
  const failures = new Counter({
    name: 'redis_command_failures_total',
    help: 'Redis commands that were sent and failed.',
    registers
  })
  const seriesByCommand = new Map<string, Distribution>()
  redis.onCommand = (command, ms, failed) => {
    let series = seriesByCommand.get(command)
    if (!series) {
      series = seconds.labels(command)
      seriesByCommand.set(command, series)
    }
    series.observe(ms / 1000)
    if (failed) failures.inc()
  }
}

function measureHits(registry: Registry, hits: SharedCounter): void {
  const registers = [registry]
  const sizes = new CachedHistogram({
    name: 'hits_batch_size',
    help: 'Hits that went to Redis as one command.',
    buckets: BATCH_SIZES,
    registers
  }).labels()
  const total = new Counter({ name: 'hits_total', help: 'Hits that Redis has counted for this worker.', registers })
  hits.onBatch = (size) => {
    sizes.observe(size)
    total.inc(size)
  }
}

function measureSessions(registry: Registry, { counts }: SafeSessionStore): void {
  mirrorCount(registry, 'sessions_created_total', 'Sessions stored for the first time.', () => counts.created)
  mirrorCount(
    registry,
    'sessions_ended_total',
    'Sessions ended by a user or an operator; expired sessions are not counted.',
    () => counts.ended
  )
  mirrorCount(
    registry,
    'session_conflicts_merged_total',
    'Writes of a session that conflicted with other requests and were merged.',
    () => counts.merged
  )
}

/** Shows counts that another object keeps, by outcome. */
function mirrorOutcomes(registry: Registry, name: string, help: string, read: () => Record<string, number>): void {
  new Counter({
    name,
    help,
    labelNames: ['outcome'],
    registers: [registry],
    collect() {
      this.reset()
      for (const [outcome, count] of Object.entries(read())) this.inc({ outcome }, count)
    }
  })
}

/** Shows a count that another object keeps. */
function mirrorCount(registry: Registry, name: string, help: string, read: () => number): void {
  new Counter({
    name,
    help,
    registers: [registry],
    collect() {
      this.reset()
      this.inc(read())
    }
  })
}
