import { EventEmitter } from 'node:events'
import type { JournalEvent } from '../../admin/journal-file.ts'
import { EXIT_CONFIG } from '../../common/errors.ts'
import type { Logger } from '../../common/log.ts'
import { cutsByCrash, describeCuts, describeWaitsFor, type WaitsFor } from '../../ipc/drain-report.ts'
import type { DrainReport, ToWorker, WorkerRequestCount } from '../../ipc/messages.ts'
import type { Certificates } from '../listener/certificates.ts'
import { RetainedCounters } from '../metrics/retained-counters.ts'
import type { Limits } from '../policy/policy-limits.ts'
import type { ActionOf, Event } from '../policy/types.ts'
import type { Release } from '../rollout/release.ts'
import type { WorkerPeer } from './broadcast-to-workers.ts'
import { reportOfCrash } from './crash-report.ts'
import type { ExitReason } from './exit-reason.ts'
import { type ProcessHost, THIS_HOST } from './process-host.ts'
import { type MessageContext, receiveMessages, type WorkerPoolEvents, type WorkerServices } from './worker-messages.ts'
import { WorkerProcess, type WorkerProcessListener } from './worker-process.ts'

export interface WorkerPoolOptions {
  limits: Pick<Limits, 'heartbeatMs' | 'lingerMs'>
  /** How long a worker may drain, in ms. The policy's own deadline is a little later. */
  drainMs: number
  /** Folder of hang reports. */
  runDir: string
  /** Environment variables of a worker, in addition to the primary's own. */
  environment: (worker: { slot: number; generation: number; app: string | undefined }) => Record<string, string>
  /** Called when a worker process starts and when it has ended. */
  onPid: (pid: number, alive: boolean) => void
  /** What workers serve TLS with; undefined without TLS. */
  certificates: Pick<Certificates, 'of'> | undefined
  /** The bound socket, for workers that accept connections themselves; undefined where the primary accepts. */
  sharedSocket: () => unknown
  journal: (event: JournalEvent) => void
  log: Logger
  /** The machine that workers run on; by default this one. */
  host?: ProcessHost
}

/**
 * The processes of all workers. Forks, drains, examines and kills them when it is told to, and emits an event for whatever
 * they report or do. It writes each step to the log and the journal, with its cause. It takes no decisions.
 */
export class WorkerPool extends EventEmitter<WorkerPoolEvents> {
  /** Counters of all workers, including those that have exited. */
  readonly counters = new RetainedCounters()
  readonly #options: WorkerPoolOptions
  readonly #log: Logger
  readonly #host: ProcessHost
  readonly #workers = new Map<number, WorkerProcess>()
  #services: WorkerServices | undefined

  constructor(options: WorkerPoolOptions) {
    super()
    this.#options = options
    this.#log = options.log
    this.#host = options.host ?? THIS_HOST
  }

  /** Sets what answers the requests of workers. Must be called before the first fork. */
  serve(services: WorkerServices): void {
    this.#services = services
  }

  /** @returns undefined once the worker has exited */
  get(id: number): WorkerProcess | undefined {
    return this.#workers.get(id)
  }

  /** Workers that serve or drain, the newest first. */
  live(): WorkerProcess[] {
    return [...this.#workers.values()]
      .filter((worker) => worker.status !== 'starting')
      .sort((a, b) => b.generation - a.generation || b.id - a.id)
  }

  /** Every worker, as the target of requests. */
  peers(): WorkerPeer[] {
    return [...this.#workers.values()]
  }

  notifyAll(message: ToWorker): void {
    for (const { channel } of this.#workers.values()) void channel.notify(message)
  }

  /** Kills every worker that has not left yet. Requests in flight are lost. */
  killAll(): void {
    for (const worker of this.#workers.values()) worker.kill('late')
  }

  /** Forks a worker. If no process can be created, it emits `fork-failed`. */
  fork({ slot, generation, cause, control }: ActionOf<'fork'>, release: Release): void {
    const services = this.#services
    if (!services) throw new Error('WorkerPool.serve must be called before the first fork')
    const { environment: environmentOf, onPid, journal } = this.#options
    const environment = environmentOf({ slot, generation, app: release.app })
    let worker: WorkerProcess
    try {
      worker = new WorkerProcess({ slot, generation, release, environment }, this.#host, this.#listener)
    } catch (error) {
      const { message } = error as Error
      this.#log.error({ err: error, slot, generation }, 'fork failed')
      journal({ event: 'not forked', slot, generation, why: message })
      this.emit('event', forkFailed({ slot, generation, control }, message))
      return
    }
    const { id, pid } = worker
    this.#workers.set(id, worker)
    // First of all: a process that the policy does not know would never be ended.
    this.emit('event', {
      type: 'forked',
      id,
      pid,
      slot,
      generation,
      jitter: Math.random(),
      ...(control && { control })
    })
    receiveMessages(worker, this.#contextOf(worker, services))
    if (pid) onPid(pid, true)
    this.#log.info({ ...worker.logFields, why: cause, release: release.id }, 'worker started')
    this.#record('starts', worker, cause, { release: release.id })
  }

  /** Tells the worker to finish its requests and to exit. @param snapshot path of the heap snapshot that it writes before */
  drain({ id, transfer, cause, recycled, isIsolated }: ActionOf<'drain'>, snapshot?: string): void {
    this.emit('event', { type: 'drain-sent', id, transfer, recycled })
    const worker = this.#workers.get(id)
    if (!worker) return
    worker.status = 'draining'
    this.#record('drains', worker, cause)
    const { drainMs: deadlineMs, limits } = this.#options
    // Without another worker to take connections, nothing lingers.
    const linger = transfer && { lingerTimeoutMs: Math.max(deadlineMs, limits.lingerMs) }
    void worker.channel.notify({
      type: 'drain',
      transfer: transfer && !isIsolated,
      resumes: true,
      deadlineMs,
      ...linger,
      ...(snapshot && { snapshot })
    })
  }

  /** Limits the time of a worker that drains already. */
  finish({ id, transfer, deadlineMs, cause }: ActionOf<'finish'>): void {
    this.emit('event', { type: 'finish-sent', id, transfer, deadlineMs })
    const worker = this.#workers.get(id)
    if (!worker) return
    if (worker.waitsFor) {
      this.#log.warn(
        { ...worker.logFields, why: cause, ms: deadlineMs, ...worker.waitsFor },
        'lingering worker must end'
      )
    }
    this.#record('must end', worker, cause)
    void worker.channel.notify({ type: 'finish', transfer, deadlineMs })
  }

  /** Finds out whether a silent worker hangs or is starved of CPU. A hung worker may be killed after its report is written. */
  examine(id: number): void {
    const worker = this.#workers.get(id)
    if (!worker) return
    const { verdict, cause } = worker.examine(this.#options.limits.heartbeatMs)
    this.#log.warn({ ...worker.logFields, verdict, why: cause }, 'worker silent')
    this.emit('event', { type: 'examined', id, hung: verdict === 'hung' })
    if (verdict === 'hung') void this.#reportHang(worker, cause)
  }

  /** Kills the worker at once. Its requests in flight are lost. */
  kill({ id, reason, cause }: ActionOf<'kill'>): void {
    this.emit('event', { type: 'kill-sent', id, reason })
    const worker = this.#workers.get(id)
    if (!worker) return
    this.#log[reason === 'unwanted' ? 'info' : 'error']({ ...worker.logFields, why: cause }, 'worker killed')
    this.#record('killed', worker, cause)
    worker.kill(reason)
  }

  readonly #listener: WorkerProcessListener = {
    unknownMessage: (worker, message) => this.#unknownMessage(worker, message),
    protocolViolation: (worker, cause) => {
      this.#log.error({ ...worker.logFields, why: cause }, 'protocol violation')
      this.emit('event', { type: 'protocol-violation', id: worker.id, cause })
    },
    stderr: ({ slot, pid, generation }, line) =>
      this.#log.warn({ slot, worker: pid, generation, line }, 'worker standard error'),
    exited: (worker, code, reason) => this.#exited(worker, code, reason)
  }

  #contextOf(worker: WorkerProcess, services: WorkerServices): MessageContext {
    const { certificates, sharedSocket } = this.#options
    return {
      events: this,
      services,
      sharedSocket,
      certificates: () => certificates?.of(worker.generation),
      ready: () => this.#ready(worker),
      bootFailed: (cause) => this.#bootFailed(worker, cause),
      settled: (waitsFor, report) => this.#settled(worker, waitsFor, report),
      drained: (stats) => this.#drained(worker, stats),
      unknownMessage: (name) => this.#unknownMessage(worker, name),
      // The primary may be out of file descriptors. The connection stays at its worker, and is cut when the drain ends.
      transferLost: () => this.#log.error(worker.logFields, 'transferred connection did not arrive'),
      updateCounters: (families) => this.counters.update(worker.id, families),
      peers: () => this.peers(),
      requestCounts: () => this.#requestCounts()
    }
  }

  #requestCounts(): WorkerRequestCount[] {
    return [...this.#workers.values()].map(({ pid, heartbeat }) => ({ pid, requests: heartbeat?.requests ?? 0 }))
  }

  #ready(worker: WorkerProcess): void {
    if (worker.status === 'starting') worker.becomeReady()
    this.#record('ready', worker)
    this.emit('event', { type: 'ready', id: worker.id })
    this.#log.info(worker.logFields, 'worker ready')
  }

  #bootFailed(worker: WorkerProcess, cause: string): void {
    this.#log.error({ ...worker.logFields, why: cause }, 'worker cannot boot')
    this.#record('cannot boot', worker, cause)
    this.emit('event', { type: 'boot-failed', id: worker.id, cause })
  }

  #settled(worker: WorkerProcess, waitsFor: WaitsFor, report: DrainReport | undefined): void {
    worker.waitsFor = waitsFor
    worker.settledReport = report
    this.#log.info({ ...worker.logFields, ...waitsFor }, 'worker lingers')
    this.#record('lingers', worker, describeWaitsFor(waitsFor))
    this.emit('settled', report, worker.id)
    this.emit('event', { type: 'settled', id: worker.id })
  }

  #drained(worker: WorkerProcess, stats: DrainReport): void {
    worker.waitsFor = undefined
    const { total, handedOver, cut, cuts = [] } = stats
    const what = cuts.length > 0 ? `; cut: ${describeCuts(cuts)}` : ''
    this.#record('drained', worker, `${handedOver} of ${total} connections transferred${what}`, {
      total,
      handedOver,
      cut
    })
    if (cut > 0) this.#log.warn({ ...worker.logFields, cut, cuts }, 'connections cut')
    this.emit('drained', stats, worker.id)
    this.emit('event', { type: 'drained', id: worker.id })
  }

  /** Counts what a lingering worker has lost that crashed, hung or was killed. */
  #endLingering(worker: WorkerProcess): void {
    if (!worker.waitsFor) return
    const cuts = cutsByCrash(worker.waitsFor)
    const cut = cuts.reduce((sum, { count }) => sum + count, 0)
    if (cut > 0) this.#log.error({ ...worker.logFields, cut, cuts }, 'connections cut')
    this.emit('drained', reportOfCrash(worker.settledReport, cuts), worker.id)
  }

  #unknownMessage(worker: WorkerProcess, message: string): void {
    this.#log.warn({ ...worker.logFields, message }, 'unknown message')
  }

  async #reportHang(worker: WorkerProcess, cause: string): Promise<void> {
    // In a log line, `pid` is the process that logs; logFields has the worker's.
    const { file, error, pid: _, ...report } = await this.#host.reportHang(worker, this.#options.runDir)
    if (report.note === undefined) worker.hungWith = report.inFlight
    this.#log.error({ ...worker.logFields, why: cause, ...report, file, err: error }, 'worker hung')
    this.#record('hangs', worker, cause, { hangReport: file, at: report.stack[0], requests: report.inFlight })
    this.emit('event', { type: 'hang-reported', id: worker.id, cause })
  }

  #exited(worker: WorkerProcess, code: number | null, { cause, reason }: ExitReason): void {
    const { id, pid, slot } = worker
    const expected = worker.killed === 'unwanted' || (worker.status === 'draining' && code === 0)
    this.#log[expected ? 'info' : 'error']({ ...worker.logFields, why: cause }, 'worker exited')
    this.#record('exited', worker, cause)
    if (pid) this.#options.onPid(pid, false)
    this.emit('exited', worker.describeExit(expected))
    this.#endLingering(worker)
    this.#services?.watch(worker, false)
    this.#workers.delete(id)
    this.counters.retain(id, slot)
    if (code === EXIT_CONFIG) {
      this.emit('event', { type: 'boot-failed', id, cause: `worker ${slot} cannot boot` })
    }
    this.emit('event', { type: 'exit', id, cause, random: Math.random(), oom: reason === 'oom' })
  }

  #record(event: string, { slot, pid, generation }: WorkerProcess, why?: string, fields: object = {}): void {
    this.#options.journal({ event, slot, pid, generation, ...(why !== undefined && { why }), ...fields })
  }
}

/** The policy's event for a worker that could not be forked. Without a control, a trial goes on. */
export const forkFailed = (
  { slot, generation, control }: Pick<ActionOf<'fork'>, 'slot' | 'generation'> & { control?: true | undefined },
  cause: string
): Event =>
  control ? { type: 'control-failed', cause } : { type: 'fork-failed', slot, generation, cause, random: Math.random() }
