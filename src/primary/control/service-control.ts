import { hostname } from 'node:os'
import type {
  CommandContext,
  DiagnosticFile,
  KnownHosts,
  ReloadOutcome,
  ServiceStatus,
  UpgradeOutcome,
  UpgradeStatus,
  WorkerId
} from '../../admin/command-context.ts'
import { CommandError } from '../../admin/command-error.ts'
import type { JournalFile } from '../../admin/journal-file.ts'
import type { Logger } from '../../common/log.ts'
import { rangeText } from '../../common/worker-range.ts'
import type { WaitsFor } from '../../ipc/drain-report.ts'
import type { DeliveryReport, Diagnostics, Refusal, WorkerRequests } from '../../ipc/messages.ts'
import type { Autoscaler } from '../autoscaling/autoscaler.ts'
import { readScale } from '../autoscaling/scale-argument.ts'
import { Profiler } from '../health/profiler.ts'
import { createHosts, type HostSettings } from '../hosts/create-hosts.ts'
import type { Hosts } from '../hosts/hosts.ts'
import type { ReloadRequest } from '../policy/trial-types.ts'
import { isWaitedFor, liveIn, type State, serves, slotsOf } from '../policy/types.ts'
import type { QuarantineKeeper } from '../quarantine/quarantine-keeper.ts'
import type { Releases } from '../rollout/release.ts'
import type { Supervisor } from '../workers/supervisor.ts'
import { WorkerQueries } from '../workers/worker-queries.ts'
import { ProfileControl } from './profile-control.ts'
import { RolloutControl } from './rollout-control.ts'

export interface ServiceControlOptions {
  supervisor: Supervisor
  autoscaler: Autoscaler
  keeper: QuarantineKeeper
  journal: JournalFile
  auditLog: JournalFile
  version: string
  /** Returns the address of the service. */
  url: () => string
  scheduling: string
  /** The variables in force, without secrets. */
  variables: Readonly<Record<string, unknown>>
  /** The folder for profiles and snapshots. */
  runDir: string
  /** More workers are refused. */
  maxWorkers: number
  /** How long a worker may take for a request, in ms; its own waits for other workers and for Redis are shorter. */
  requestTimeoutMs: number
  /** How long a new worker may take until it is ready, in ms. */
  bootMs: number
  /** How long the port stays open after `stop`, in ms. */
  lameDuckMs: number
  /** How long a leaving worker may drain, in ms; also how long accepted connections may take to reach a worker. */
  drainMs: number
  releases: Releases
  hosts: HostSettings
  log: Logger
}

/** The replacement of this primary by another one. */
export interface UpgradeControl {
  start(options: { node?: string | undefined; envFile?: string | undefined }): Promise<UpgradeOutcome>
  /** @returns undefined when there is no upgrade under way */
  status(): UpgradeStatus | undefined
  /** The service stops. @returns whether the other primary does everything for that */
  stop(): boolean
}

/** What admin commands can do to the service. Each method changes the supervisor's state, then waits for what follows. */
export class ServiceControl implements CommandContext {
  readonly journal: JournalFile
  readonly auditLog: JournalFile
  readonly variables: Readonly<Record<string, unknown>>
  readonly #options: ServiceControlOptions
  readonly #supervisor: Supervisor
  readonly #workers: WorkerQueries
  readonly #profiler: Profiler
  readonly #profiles: ProfileControl
  readonly #hosts: Hosts
  readonly #rollouts: RolloutControl
  /** Set when the service starts. */
  upgrades: UpgradeControl | undefined
  /** The workers of other primaries, during an upgrade and until the last one of an old primary has left. */
  readonly remoteWorkers = new Map<object, ServiceStatus['workers']>()

  constructor(options: ServiceControlOptions) {
    this.journal = options.journal
    this.auditLog = options.auditLog
    this.variables = options.variables
    this.#options = options
    this.#supervisor = options.supervisor
    this.#workers = new WorkerQueries(options.supervisor)
    this.#profiler = new Profiler({ runDir: options.runDir, requestTimeoutMs: options.requestTimeoutMs })
    this.#profiles = new ProfileControl({ ...options, workers: this.#workers, profiler: this.#profiler })
    this.#rollouts = new RolloutControl(options.supervisor, this.#workers)
    const { hosts, turns } = createHosts({
      ...options,
      settings: options.hosts,
      status: () => this.status(),
      roll: (request, onHeld) => this.#rollouts.roll(request, onHeld),
      onRefused: (outcome) => {
        this.#rollouts.last = outcome
        options.hosts.onRefused(outcome)
      }
    })
    this.#hosts = hosts
    this.#rollouts.turns = turns
  }

  /** Announces this host to the others from now on. */
  announceHost(): void {
    this.#hosts.start()
  }

  hosts(): Promise<KnownHosts> {
    return this.#hosts.list()
  }

  status(): ServiceStatus {
    const { state } = this.#supervisor
    const upgrade = this.upgrades?.status()
    const view = this.#supervisor.view()
    return {
      version: this.#options.version,
      host: hostname(),
      pid: process.pid,
      url: this.#options.url(),
      folder: process.cwd(),
      uptimeSeconds: Math.round(process.uptime()),
      generation: state.generation,
      desired: state.desired,
      autoscaling: this.#options.autoscaler.status(),
      scheduling: this.#options.scheduling,
      state: view.state,
      redis: view.redis,
      workers: this.workers(),
      ...(state.rollout && { trial: this.#supervisor.trials.report }),
      quarantine: this.#options.keeper.list(),
      lastReload: this.#rollouts.last,
      ...(upgrade && { upgrade }),
      restarts: state.restarts,
      ...(this.#rollouts.turns?.waits && { rolloutWaits: this.#rollouts.turns.waits })
    }
  }

  /** The workers of all primaries. @param except the key of a primary whose own are left out */
  workers(except?: object): ServiceStatus['workers'] {
    const remote = [...this.remoteWorkers].filter(([key]) => key !== except)
    return [...this.#ownWorkers(), ...remote.flatMap(([, workers]) => workers)]
  }

  #ownWorkers(): ServiceStatus['workers'] {
    const { state, pool } = this.#supervisor
    const now = this.#supervisor.now()
    return state.workers.map(({ id, slot, pid, generation, status, since }) => ({
      slot,
      pid,
      generation,
      status,
      uptimeSeconds: Math.round((now - since) / 1000),
      ...pool.get(id)?.heartbeat,
      ...waitsForOf(pool.get(id))
    }))
  }

  async upgrade(options: { node?: string | undefined; envFile?: string | undefined }): Promise<UpgradeOutcome> {
    this.#refuseWhileBusy()
    if (this.#supervisor.state.rollout) throw new CommandError('a reload is under way: wait until it has ended', 409)
    if (!this.upgrades) throw new CommandError('the service is starting', 409)
    return this.upgrades.start(options)
  }

  get quarantine(): QuarantineKeeper {
    return this.#options.keeper
  }

  pingWorkers(): Promise<DeliveryReport> {
    return this.#workers.ping()
  }

  servingWorkers(): DeliveryReport {
    return this.#workers.serving()
  }

  async reload(join: boolean, request: ReloadRequest = {}, forced = false): Promise<ReloadOutcome> {
    this.#refuseWhileBusy()
    return this.#rollouts.reload(join, request, forced)
  }

  promote(): number {
    return this.#rollouts.promote()
  }

  rollback(): Promise<ReloadOutcome> {
    return this.#rollouts.rollback()
  }

  async scale(change: number | string): Promise<{ workers: number; range?: string }> {
    const { maxWorkers, bootMs, drainMs, autoscaler } = this.#options
    const before = this.#supervisor.state
    const { workers, range } = readScale(change, before.desired, { configured: autoscaler.configured, maxWorkers })
    this.#refuseWhileBusy()
    autoscaler.setRange(range)
    this.#supervisor.handle({ type: 'scale', desired: workers })
    await this.#workers.until((now) => isScaled(now, workers, before), bootMs + drainMs)
    const { desired } = this.#supervisor.state
    if (range && desired >= range.min && desired <= range.max) return { workers: desired, range: rangeText(range) }
    if (desired !== workers) throw new CommandError(`another command asked for ${desired} workers meanwhile`, 409)
    this.#refuseWhileDraining()
    return { workers }
  }

  async recycle(slot: number): Promise<WorkerId> {
    this.#refuseDuringUpgrade()
    return this.#workers.replace(this.#workers.inSlot(slot))
  }

  stop(): void {
    if (this.upgrades?.stop()) return
    if (this.#supervisor.state.phase === 'running') void this.#drainService()
  }

  async requestWorker<Name extends keyof WorkerRequests>(
    name: Name,
    args: WorkerRequests[Name]['args']
  ): Promise<Exclude<WorkerRequests[Name]['result'], Refusal>> {
    const worker = await this.#workers.any()
    const answer = await worker.channel.request(name, args, this.#options.requestTimeoutMs)
    if (isRefusal(answer)) throw new CommandError(answer.refused.message, answer.refused.statusCode)
    return answer as Exclude<typeof answer, Refusal>
  }

  profile(which: number | 'all' | 'trial', ms: number): ReturnType<CommandContext['profile']> {
    return this.#profiles.profile(which, ms)
  }

  async heapSnapshot(slot: number): Promise<DiagnosticFile> {
    this.#refuseDuringUpgrade()
    const worker = this.#workers.inSlot(slot)
    return this.#profiler.heap(worker, (path) => this.#workers.replace(worker, path))
  }

  async report(slot: number): Promise<DiagnosticFile> {
    return this.#profiler.report(this.#workers.inSlot(slot))
  }

  async diagnose(slot: number): Promise<WorkerId & Diagnostics> {
    const { pid, channel } = this.#workers.inSlot(slot)
    return { slot, pid, ...(await channel.request('diagnose', {}, this.#options.requestTimeoutMs)) }
  }

  #refuseWhileBusy(): void {
    this.#refuseWhileDraining()
    this.#refuseDuringUpgrade()
  }

  #refuseDuringUpgrade(): void {
    if (this.#supervisor.state.share) throw new CommandError('an upgrade is under way: wait until it has ended', 409)
  }

  #refuseWhileDraining(): void {
    if (this.#supervisor.state.phase !== 'running') throw new CommandError('the service is draining', 409)
  }

  /** Readiness turns false at once. The port stays open for the lame duck time; then every worker finishes and leaves. */
  async #drainService(): Promise<void> {
    this.#supervisor.handle({ type: 'stop' })
    await sleep(this.#options.lameDuckMs)
    await Promise.race([this.#supervisor.closePort(), sleep(this.#options.drainMs)])
    this.#supervisor.handle({ type: 'port-closed' })
  }
}

/** True when a change of scale has ended: so many workers serve and no others are left, a new one failed, or another command came. */
function isScaled(now: State, workers: number, before: State): boolean {
  if (now.desired !== workers || now.phase !== 'running') return true
  const failuresOf = (state: State, slot: number) => state.slots[slot]?.failures ?? 0
  const isSettled = (slot: number) => liveIn(now, slot).some(serves) || failuresOf(now, slot) > failuresOf(before, slot)
  const isExtra = (slot: number) => slot >= workers
  return slotsOf(now).every(isSettled) && !now.workers.some((worker) => isExtra(worker.slot) && isWaitedFor(worker))
}

const waitsForOf = (worker: { waitsFor: WaitsFor | undefined } | undefined) =>
  worker?.waitsFor && { waitsFor: worker.waitsFor }

const isRefusal = (answer: unknown): answer is Refusal =>
  typeof answer === 'object' && answer !== null && 'refused' in answer

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms).unref())
