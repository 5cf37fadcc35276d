import { DROPPED_LINES, droppedLines } from '../../common/log.ts'
import { CONNECTION_KINDS, type ConnectionKind } from '../../ipc/drain-report.ts'
import type { Family } from '../../ipc/series.ts'
import type { InternalErrors } from '../internal-errors.ts'
import { lingers, serves } from '../policy/types.ts'
import type { Supervisor } from '../workers/supervisor.ts'
import type { WorkerProcess } from '../workers/worker-process.ts'

const RELOAD_SECONDS = [1, 2.5, 5, 10, 30, 60, 120, 300]
const STATES = ['starting', 'running', 'reloading', 'upgrading', 'degraded', 'draining'] as const

/** The primary's own series, in the format in which workers report theirs. The primary loads no metrics library. */
export class PrimaryMetrics {
  readonly #version: string
  readonly #reloads = { done: 0, failed: 0, stopped: 0, refused: 0 }
  readonly #trials = { 'no worse': 0, worse: 0, undecided: 0, promoted: 0 }
  /** The cumulative buckets, then the count, then the sum. */
  readonly #reloadSeconds = [...RELOAD_SECONDS, 0, 0].fill(0)
  readonly #drained = { handedOver: 0, answered: 0, closed: 0, idle: 0, left: 0, cut: 0, lost: 0, waiting: 0 }
  readonly #cut = Object.fromEntries(CONNECTION_KINDS.map((kind) => [kind, 0])) as Record<ConnectionKind, number>
  readonly #errors: InternalErrors

  constructor(version: string, errors: InternalErrors) {
    this.#version = version
    this.#errors = errors
  }

  /** Counts events that the state does not count. */
  watch(supervisor: Supervisor): void {
    supervisor.on('rollout', ({ outcome, durationMs, trial }) => {
      this.#reloads[outcome]++
      if (trial?.state === 'ended') this.#trials[trial.outcome]++
      const seconds = durationMs / 1000
      const counted = [...RELOAD_SECONDS.map((bound) => (seconds <= bound ? 1 : 0)), 1, seconds]
      for (const [i, value] of counted.entries()) this.#reloadSeconds[i]! += value
    })
    supervisor.pool.on('drained', ({ total: _, cuts = [], ...ended }) => {
      for (const { kind, count } of cuts) this.#cut[kind] += count
      for (const [end, count] of Object.entries(ended)) this.#drained[end as keyof typeof ended] += count
    })
  }

  /** Counts a reload that never began, because it was not this host's turn. */
  countRefused(): void {
    this.#reloads.refused++
  }

  /** @param answered ids of the workers that answered this scrape */
  read(supervisor: Supervisor, answered: ReadonlySet<number>): Family[] {
    return [...this.#serviceFamilies(supervisor), ...slotFamilies(supervisor, answered), ...processFamilies()]
  }

  #serviceFamilies(supervisor: Supervisor): Family[] {
    const { state, router } = supervisor
    const now = supervisor.view().state
    const ofStatus = (status: string) => state.workers.filter((worker) => worker.status === status).length
    return [
      family('gauge', 'cluster_build_info', 'Which release of muster and of Node.js the primary runs; always 1.', [
        [1, { version: this.#version, node: process.version }]
      ]),
      family(
        'gauge',
        'cluster_state',
        'State of the service: 1 for the one that it is in.',
        by('state', STATES, (state) => (state === now ? 1 : 0))
      ),
      family('gauge', 'cluster_generation', 'The generation that serves.', [[state.generation]]),
      family('gauge', 'cluster_workers_desired', 'Workers wanted.', [[state.desired]]),
      family(
        'gauge',
        'cluster_workers',
        'Workers by status.',
        by('status', ['starting', 'ready', 'draining'], ofStatus)
      ),
      family(
        'counter',
        'cluster_worker_restarts_total',
        'Workers replaced because they failed, had served their time or were asked to, by reason.',
        counts('reason', state.restarts)
      ),
      family('counter', 'cluster_reloads_total', 'Rolling restarts by outcome.', counts('outcome', this.#reloads)),
      family(
        'counter',
        'cluster_trials_total',
        'Releases that were judged by their own traffic, by outcome.',
        counts('outcome', this.#trials)
      ),
      {
        ...family('histogram', 'cluster_reload_duration_seconds', 'How long rolling restarts took.', []),
        bounds: RELOAD_SECONDS,
        series: [['', [...this.#reloadSeconds]]]
      },
      family(
        'counter',
        'cluster_drained_connections_total',
        'Connections of workers that left, by how they ended: handed over, after an answer, a WebSocket closed with 1012 (closed), idle, by the client (left), cut, lost on the way, or still waiting for an admin command.',
        counts('end', this.#drained)
      ),
      family(
        'counter',
        'cluster_cut_connections_total',
        'Connections that a leaving worker cut or lost, by what they did: upload, download, request not answered yet, event stream, socket of another protocol, or idle.',
        counts('kind', this.#cut)
      ),
      family(
        'gauge',
        'cluster_lingering_workers',
        'Replaced workers that stay beside their successors for requests that make progress.',
        [[state.workers.filter((worker) => lingers(worker)).length]]
      ),
      family(
        'counter',
        'cluster_accept_pauses_total',
        'How often the process stopped accepting connections for lack of file descriptors.',
        [[router.gate?.pauses ?? 0]]
      ),
      family(
        'counter',
        'cluster_connections_redispatched_total',
        'Connections given to another worker because the first had left.',
        [[router.rerouted]]
      ),
      family(
        'counter',
        'cluster_connections_lost_total',
        'Connections closed because no worker was left to take them.',
        [[router.lost]]
      ),
      family(
        'counter',
        'cluster_primary_errors_total',
        "Exceptions in the primary's own code that it survived, by where they were caught; each is a bug.",
        counts('source', this.#errors.counts)
      ),
      family('counter', DROPPED_LINES.name, DROPPED_LINES.help, [[droppedLines()]])
    ]
  }
}

/** What the newest worker of each slot reported last. It is known even if the worker does not answer any more. */
function slotFamilies(supervisor: Supervisor, answered: ReadonlySet<number>): Family[] {
  const { state } = supervisor
  const newest = new Map<number, WorkerProcess>()
  for (const worker of supervisor.pool.live()) if (!newest.has(worker.slot)) newest.set(worker.slot, worker)
  const up = new Set(
    state.workers.filter((worker) => serves(worker) && answered.has(worker.id)).map(({ slot }) => slot)
  )
  const wanted = Array.from({ length: state.desired }, (_, slot) => String(slot))
  const heard = [...newest.values()].flatMap(({ slot, heartbeat, heartbeatAt }) =>
    heartbeat ? [{ slot: String(slot), heartbeat, age: (performance.now() - heartbeatAt) / 1000 }] : []
  )
  const each = (name: string, help: string, value: (worker: (typeof heard)[number]) => number) =>
    family(
      'gauge',
      name,
      help,
      heard.map((worker) => [value(worker), { slot: worker.slot }])
    )
  return [
    family(
      'gauge',
      'cluster_worker_up',
      'Whether a worker of the slot serves and answered this scrape.',
      by('slot', wanted, (slot) => (up.has(Number(slot)) ? 1 : 0))
    ),
    family(
      'gauge',
      'cluster_worker_info',
      'Which process a slot is; always 1.',
      state.workers.map(({ slot, pid, generation, status }) => [
        1,
        { slot: String(slot), pid: String(pid), generation: String(generation), status }
      ])
    ),
    each(
      'cluster_worker_heartbeat_age_seconds',
      'How long ago the worker was last heard; every second, when it is well.',
      ({ age }) => age
    ),
    each(
      'cluster_worker_event_loop_delay_seconds',
      "99th percentile of the delay of the worker's event loop, in the second before its last heartbeat.",
      ({ heartbeat }) => heartbeat.loopDelayMs / 1000
    ),
    each(
      'cluster_worker_event_loop_utilization_ratio',
      "Part of the time that the worker's event loop was busy, in the second before its last heartbeat.",
      ({ heartbeat }) => heartbeat.utilization
    ),
    each(
      'cluster_worker_connections',
      'Connections open, by the last heartbeat of the worker.',
      ({ heartbeat }) => heartbeat.connections
    )
  ]
}

function processFamilies(): Family[] {
  const { user, system } = process.cpuUsage()
  return [
    family('counter', 'process_cpu_seconds_total', 'Total user and system CPU time spent in seconds.', [
      [(user + system) / 1e6]
    ]),
    family('gauge', 'process_resident_memory_bytes', 'Resident memory size in bytes.', [[process.memoryUsage.rss()]]),
    family('gauge', 'process_start_time_seconds', 'Start time of the process since unix epoch in seconds.', [
      [performance.timeOrigin / 1000]
    ])
  ]
}

type Labelled = [value: number, labels?: Record<string, string>]

/** @param values with labels that need no escaping */
export function family(type: Family['type'], name: string, help: string, values: Labelled[]): Family {
  const text = (labels: Record<string, string>) =>
    Object.keys(labels)
      .sort()
      .map((label) => `${label}="${labels[label]}"`)
      .join()
  return { name, help, type, series: values.map(([value, labels = {}]) => [text(labels), [value]]) }
}

export const by = <T extends string>(label: string, names: readonly T[], value: (name: T) => number): Labelled[] =>
  names.map((name) => [value(name), { [label]: name }])

export const counts = (label: string, countsByName: Readonly<Record<string, number>>): Labelled[] =>
  Object.entries(countsByName).map(([name, count]) => [count, { [label]: name }])
