import type { Logger } from '../../common/log.ts'
import { measureWorkers } from '../autoscaling/worker-loads.ts'
import type { InternalErrors } from '../internal-errors.ts'
import type { Supervisor } from '../workers/supervisor.ts'
import { NO_MEMORY, planRebalance, recordMoves, type WorkerLoad } from './rebalance-rule.ts'

/** How often heartbeats are looked at. Each comes once a second, at another moment. */
const INTERVAL_MS = 250
/** For this time after it became ready, a worker gets connections without waiting for a lasting difference, in ms. */
const NEW_MS = 5000

/**
 * Lets busy workers give connections to less busy ones. Rests during a reload: the old and the new release are compared then,
 * and every connection moves anyway.
 */
export class Rebalancer {
  /** Connections that have moved. */
  moved = 0
  readonly #supervisor: Supervisor
  readonly #log: Logger
  #memory = NO_MEMORY

  constructor(supervisor: Supervisor, errors: InternalErrors, log: Logger) {
    this.#supervisor = supervisor
    this.#log = log
    const { pool } = supervisor
    const tick = () => errors.survive('listener', () => this.#tick())
    pool.on('rebalanced', (moved, worker) => this.#record(moved, worker))
    // A new worker is to help at once. Its state is known when the event has been handled.
    pool.on('event', ({ type }) => type === 'ready' && setImmediate(tick))
    setInterval(tick, INTERVAL_MS).unref()
  }

  #tick(): void {
    const { state, pool } = this.#supervisor
    if (state.phase !== 'running' || state.rollout || state.share) {
      this.#memory = NO_MEMORY
      return
    }
    const now = this.#supervisor.now()
    const workers = measureWorkers({ state, pool, now }).flatMap((worker): WorkerLoad[] => {
      const { id, serves, sinceMs, utilization, measuredAt } = worker
      const isNew = sinceMs < NEW_MS
      if (!serves || (utilization === undefined && !isNew)) return []
      return [{ id, isNew, measuredAt, utilization: utilization ?? 0 }]
    })
    const { memory, plans } = planRebalance(this.#memory, workers, now)
    this.#memory = memory
    for (const { source, ...rebalance } of plans) {
      void pool.get(source)?.channel.notify({ type: 'rebalance', ...rebalance })
    }
  }

  #record(moved: number, id: number): void {
    this.#memory = recordMoves(this.#memory, id, moved, this.#supervisor.now())
    this.moved += moved
    const worker = this.#supervisor.pool.get(id)
    if (moved > 0 && worker) this.#log.info({ ...worker.logFields, connections: moved }, 'connections rebalanced')
  }
}
