import type { MetricJson } from '../ipc/messages.ts'
import type { Supervisor } from './supervisor.ts'

/** The primary's own series, in the form that the workers' registries give theirs: it loads no metrics library. */
export class PrimaryMetrics {
  readonly #reloads = { done: 0, failed: 0, stopped: 0 }
  readonly #drained = { handedOver: 0, answered: 0, idle: 0, left: 0, cut: 0 }

  /** Counts what has no count in the state. */
  watch(supervisor: Supervisor): void {
    supervisor.on('roll', ({ outcome }) => {
      this.#reloads[outcome]++
    })
    supervisor.on('drained', ({ held: _, ...ended }) => {
      for (const [end, count] of Object.entries(ended)) this.#drained[end as keyof typeof ended] += count
    })
  }

  read({ state, dispatcher }: Supervisor): MetricJson[] {
    const ofStatus = (status: string) => state.workers.filter((worker) => worker.status === status).length
    const cpu = process.cpuUsage()
    return [
      series('gauge', 'cluster_workers_desired', 'Workers wanted.', [[state.desired]]),
      series(
        'gauge',
        'cluster_workers',
        'Workers by status.',
        ['starting', 'ready', 'draining'].map((status) => [ofStatus(status), { status }])
      ),
      series(
        'counter',
        'cluster_worker_restarts_total',
        'Workers replaced because they failed, by reason.',
        Object.entries(state.restarts).map(([reason, count]) => [count, { reason }])
      ),
      series(
        'counter',
        'cluster_reloads_total',
        'Rolling restarts by outcome.',
        Object.entries(this.#reloads).map(([outcome, count]) => [count, { outcome }])
      ),
      series(
        'counter',
        'cluster_drained_connections_total',
        'Connections of workers that left, by how they ended: handed over, after an answer, idle, by the client, or cut.',
        Object.entries(this.#drained).map(([end, count]) => [count, { end }])
      ),
      series('gauge', 'cluster_generation', 'The generation that serves.', [[state.generation]]),
      series(
        'gauge',
        'cluster_worker_info',
        'Which process a slot is.',
        state.workers.map(({ slot, pid, generation, status }) => [
          1,
          { slot: String(slot), pid: String(pid), generation: String(generation), status }
        ])
      ),
      series(
        'counter',
        'cluster_connections_redispatched_total',
        'Connections given to another worker because the first had left.',
        [[dispatcher.redispatched]]
      ),
      series(
        'counter',
        'cluster_connections_lost_total',
        'Connections closed because no worker was left to take them.',
        [[dispatcher.lost]]
      ),
      series('counter', 'process_cpu_seconds_total', 'Total user and system CPU time spent in seconds.', [
        [(cpu.user + cpu.system) / 1e6]
      ]),
      series('gauge', 'process_resident_memory_bytes', 'Resident memory size in bytes.', [[process.memoryUsage.rss()]])
    ]
  }
}

function series(
  type: string,
  name: string,
  help: string,
  values: [value: number, labels?: Record<string, string>][]
): MetricJson {
  return {
    name,
    help,
    type,
    values: values.map(([value, labels]) => ({ value, labels: { ...labels, worker: 'primary' } }))
  }
}
