import { EXIT_CONFIG } from '../../common/errors.ts'
import type { Logger } from '../../common/log.ts'
import type { Caller, Collection, CommandAnswer, ToWorker } from '../../ipc/messages.ts'
import { writeHangReport } from '../health/hang-report.ts'
import type { Certificates } from '../listener/certificates.ts'
import type { TcpHandle } from '../listener/connection-router.ts'
import { RetainedCounters } from '../metrics/retained-counters.ts'
import { type Action, type Event, find, type Limits } from '../policy/types.ts'
import type { Release } from '../rollout/release.ts'
import { broadcastToWorkers, type WorkerPeer } from './broadcast-to-workers.ts'
import type { ExitReason } from './exit-reason.ts'
import type { Supervisor } from './supervisor.ts'
import { type WorkerListener, WorkerProcess } from './worker-process.ts'

/** What workers are given, and who answers what they ask. */
export interface WorkerPoolOptions {
  limits: Pick<Limits, 'heartbeatMs'>
  /** How long a worker may drain, in ms; the plan's own deadline is a little later. */
  drainMs: number
  /** Where black boxes are written. */
  runDir: string
  /** Environment of a worker, beside the primary's own. */
  environment: (worker: { slot: number; generation: number; app: string | undefined }) => Record<string, string>
  /** Called for every worker process begun and ended. */
  onPid: (pid: number, alive: boolean) => void
  /** What workers serve TLS with; undefined without TLS. */
  certificates?: Certificates | undefined
  /** Metrics of every process that answers in time. */
  collect: () => Promise<Collection>
  /** A command that came through a worker. */
  command: (name: string, args: object, caller: Caller) => Promise<CommandAnswer>
  /** A worker that wants what operators see, or no longer. */
  watch: (worker: WorkerProcess, on: boolean) => void
  log: Logger
}

type Of<T extends Action['type']> = Extract<Action, { type: T }>

/**
 * The processes of all workers: forks, drains, examines and kills them, and makes an event for the supervisor of whatever
 * they say or do. The log and the journal are told, with the reason.
 */
export class WorkerPool {
  /** What workers have counted, those that are gone included. */
  readonly counts = new RetainedCounters()
  readonly #supervisor: Supervisor
  readonly #options: WorkerPoolOptions
  readonly #log: Logger
  readonly #workers = new Map<number, WorkerProcess>()

  constructor(supervisor: Supervisor, options: WorkerPoolOptions) {
    this.#supervisor = supervisor
    this.#options = options
    this.#log = options.log
  }

  /** The process of a worker; undefined when it is gone. */
  of(id: number): WorkerProcess | undefined {
    return this.#workers.get(id)
  }

  /** Processes that serve or finish, the newest first. */
  live(): WorkerProcess[] {
    return this.#supervisor.state.workers
      .filter((worker) => worker.status !== 'starting')
      .sort((a, b) => b.generation - a.generation || b.id - a.id)
      .flatMap(({ id }) => this.#workers.get(id) ?? [])
  }

  /** Every worker, for what is asked of it. */
  peers(): WorkerPeer[] {
    return this.#supervisor.state.workers.flatMap(({ id, slot, pid, status }) => {
      const channel = this.#workers.get(id)?.channel
      return channel ? { slot, pid, status, channel } : []
    })
  }

  /** Says something to every worker. */
  tell(message: ToWorker): void {
    for (const { channel } of this.#workers.values()) void channel.notify(message)
  }

  /** Ends every worker at once; nothing is finished. */
  cut(): void {
    for (const worker of this.#workers.values()) worker.kill()
  }

  /** Forks a worker. Where no process can be made, that is an event too. */
  fork({ slot, generation, why }: Of<'fork'>, release: Release): void {
    const { environment, onPid } = this.#options
    const given = environment({ slot, generation, app: release.app })
    let worker: WorkerProcess
    try {
      worker = new WorkerProcess(slot, generation, release, given, this.#listener)
    } catch (error) {
      const how = (error as Error).message
      this.#log.error({ err: error, slot, generation }, 'no worker could be forked')
      this.#supervisor.emit('journal', { event: 'not forked', slot, generation, why: how })
      this.#supervisor.dispatch({ type: 'fork-failed', slot, generation, how, random: Math.random() })
      return
    }
    const { id, pid } = worker
    this.#workers.set(id, worker)
    // Before anything else: a process that the state does not know would never be ended.
    this.#supervisor.dispatch({ type: 'forked', id, pid, slot, generation, jitter: Math.random() })
    if (pid) onPid(pid, true)
    this.#log.info({ ...this.#describe(id), why, release: release.id }, 'worker starts')
    this.#note('starts', id, why, { release: release.id })
  }

  /** Tells it to finish what it has and to leave. */
  drain({ id, handOver, why, recycled }: Of<'drain'>): void {
    this.#note('drains', id, why)
    this.#supervisor.dispatch({ type: 'drain-sent', id, recycled })
    const snapshot = find(this.#supervisor.state, id)?.snapshot
    const deadlineMs = this.#options.drainMs
    void this.#workers
      .get(id)
      ?.channel.notify({ type: 'drain', transfer: handOver, deadlineMs, ...(snapshot && { snapshot }) })
  }

  /** Is it wedged, or does it only get no CPU? Who is wedged is replaced at once, and killed when its black box is read. */
  examine(id: number): void {
    const worker = this.#workers.get(id)
    if (!worker) return
    const { verdict, why } = worker.examine(this.#options.limits.heartbeatMs)
    this.#log.warn({ ...this.#describe(id), verdict, why }, 'worker is silent')
    this.#supervisor.dispatch({ type: 'examined', id, wedged: verdict === 'wedged' })
    if (verdict === 'wedged') void this.#openBlackBox(worker, why)
  }

  /** Ends it at once; nothing is finished. */
  kill({ id, reason, why }: Of<'kill'>): void {
    this.#log.error({ ...this.#describe(id), why }, 'killing a worker')
    this.#note('killed', id, why)
    this.#supervisor.dispatch({ type: 'kill-sent', id, reason })
    this.#workers.get(id)?.kill()
  }

  readonly #listener: WorkerListener = {
    ready: ({ id }) => {
      this.#note('ready', id)
      this.#supervisor.dispatch({ type: 'ready', id })
      this.#log.info(this.#describe(id), 'worker is ready')
    },
    bootFailed: ({ id }, why) => {
      this.#log.error({ ...this.#describe(id), why }, 'worker cannot boot')
      this.#note('cannot boot', id, why)
      this.#supervisor.dispatch({ type: 'boot-failed', id, why })
    },
    heartbeat: ({ id }, { rssBytes, requests }) => {
      this.#supervisor.dispatch({ type: 'beat', id, rssBytes, requests })
      this.#supervisor.router.flush()
    },
    counts: ({ id }, families) => this.counts.update(id, families),
    redis: () => this.#supervisor.publishView(),
    room: () => this.#supervisor.router.flush(),
    transferred: ({ id }, connection) => this.#supervisor.router.accepted(connection, id),
    handedOver: ({ id, slot }, handle: TcpHandle | undefined, about, moved) => {
      // Without its descriptor (this process may be out of them) it stays where it is, and is cut with the drain's end.
      if (handle) this.#supervisor.router.transfer(handle, { ...about, slot }, moved)
      else this.#log.error(this.#describe(id), 'a connection that was handed over did not arrive')
    },
    drained: ({ id }, stats) => {
      const { total, handedOver, cut } = stats
      this.#note('drained', id, `${handedOver} of ${total} connections handed over`, { total, handedOver, cut })
      this.#supervisor.emit('drained', stats)
      this.#supervisor.dispatch({ type: 'emptied', id })
    },
    port: ({ channel }) => void channel.notify({ type: 'port' }, this.#supervisor.port?.shared),
    certificates: ({ generation }) => this.#options.certificates?.of(generation) ?? null,
    collect: () => this.#options.collect(),
    requestCounts: () =>
      [...this.#workers.values()].map(({ pid, heartbeat }) => ({ pid, requests: heartbeat?.requests ?? 0 })),
    broadcast: (message) => broadcastToWorkers(this.peers(), message),
    command: async ({ id }, { name, args, caller }) => {
      this.#supervisor.dispatch({ type: 'errand', id, change: 1 })
      try {
        return await this.#options.command(name, args, caller)
      } finally {
        this.#supervisor.dispatch({ type: 'errand', id, change: -1 })
      }
    },
    watch: (worker, on) => this.#options.watch(worker, on),
    unknownMessage: ({ id }, message) =>
      this.#log.warn({ ...this.#describe(id), message }, 'a message that is not understood'),
    protocolViolation: ({ id }, why) => {
      this.#log.error({ ...this.#describe(id), why }, 'a worker misuses its channel')
      this.#supervisor.dispatch({ type: 'misused', id, why })
    },
    stderr: ({ slot, pid, generation }, line) =>
      this.#log.warn({ slot, worker: pid, generation, line }, 'worker standard error'),
    exited: (worker, code, death) => this.#gone(worker, code, death)
  }

  async #openBlackBox(worker: WorkerProcess, why: string): Promise<void> {
    // A line's pid is that of the process that logs; the worker's is in its description.
    const { file, fault, pid: _, ...box } = await writeHangReport(worker, this.#options.runDir)
    this.#log.error({ ...this.#describe(worker.id), why, ...box, file, err: fault }, 'worker hangs')
    this.#note('hangs', worker.id, why, { blackBox: file, at: box.stack[0], requests: box.inFlight })
    this.#supervisor.dispatch({ type: 'hung', id: worker.id, why })
  }

  #gone(worker: WorkerProcess, code: number | null, { how, reason }: ExitReason): void {
    const { id, pid, slot } = worker
    const described = this.#describe(id)
    const expected = described.status === 'draining' && code === 0
    this.#log[expected ? 'info' : 'error']({ ...described, how }, 'worker is gone')
    this.#note('gone', id, how)
    if (pid) this.#options.onPid(pid, false)
    this.#options.watch(worker, false)
    this.#workers.delete(id)
    this.counts.retain(id, slot)
    const events: Event[] = [{ type: 'exit', id, how, random: Math.random(), oom: reason === 'oom' }]
    if (code === EXIT_CONFIG) events.unshift({ type: 'boot-failed', id, why: `worker ${slot} cannot boot` })
    this.#supervisor.dispatch(...events)
  }

  #note(event: string, id: number, why?: string, more: Record<string, unknown> = {}): void {
    const worker = find(this.#supervisor.state, id)
    const about = worker && { slot: worker.slot, pid: worker.pid, generation: worker.generation }
    this.#supervisor.emit('journal', { event, ...about, ...(why !== undefined && { why }), ...more })
  }

  #describe(id: number) {
    const worker = find(this.#supervisor.state, id)
    return { slot: worker?.slot, worker: worker?.pid, generation: worker?.generation, status: worker?.status }
  }
}
