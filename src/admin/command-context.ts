import type { Cut, WaitsFor } from '../ipc/drain-report.ts'
import type { HostView } from '../ipc/host-messages.ts'
import type {
  DeliveryReport,
  Diagnostics,
  DrainStats,
  Heartbeat,
  Refusal,
  WorkerRequests,
  WorkerView
} from '../ipc/messages.ts'
import type { RoutePattern } from '../ipc/route-pattern.ts'
import type { TrialReport } from '../verdict/trial-report.ts'
import type { JournalFile } from './journal-file.ts'

/** The files of RUN_DIR that outlive a service. */
export interface JournalFiles {
  /** What happened to the service and its workers. */
  readonly journal: JournalFile
  /** Which commands were given, by whom. */
  readonly auditLog: JournalFile
}

/** Everything that commands can ask of a running service. The primary implements it. */
export interface CommandContext extends JournalFiles {
  /** The configuration variables in force; secrets are hidden. */
  readonly variables: Readonly<Record<string, unknown>>
  /** The status as the primary knows it, without asking workers. */
  status(): ServiceStatus
  /** The hosts that share one Redis, as each announces itself; this one is always among them. */
  hosts(): Promise<KnownHosts>
  /** Finds and refuses the requests that end workers. */
  readonly quarantine: QuarantineControl
  /** Asks every ready worker for a sign of life. */
  pingWorkers(): Promise<DeliveryReport>
  /** The serving worker of each slot; slots without one are missing. */
  servingWorkers(): DeliveryReport
  /**
   * Replaces all workers by workers that run the code on disk. Resolves when the reload has ended, however it went.
   * @param join whether to wait for a reload that is under way; otherwise another one follows it
   * @param request what differs from the configuration
   * @param forced with ROLLOUT_LEASE: whether to roll out a release that failed on another host, and without a lease if need be
   * @throws CommandError 409 while the service drains
   */
  reload(join: boolean, request?: ReloadRequest, forced?: boolean): Promise<ReloadOutcome>
  /** Lets the reload in progress go on without a verdict. @returns its generation @throws CommandError 409 without a reload */
  promote(): number
  /** Rolls the reload in progress back. Resolves when it has ended. @throws CommandError 409 without a reload */
  rollback(): Promise<ReloadOutcome>
  /**
   * Changes the number of workers. Resolves when exactly so many serve, when a new one fails, or at a timeout. A number fixes
   * it; with a range the load decides.
   * @param workers a number, a change such as `+1`, a range such as `2..8`, or `auto` for the range of the configuration
   * @returns the number of workers, and the range in which the load decides
   * @throws CommandError 400 for a number out of range; 409 while the service drains, or when another command interferes
   */
  scale(workers: number | string): Promise<{ workers: number; range?: string }>
  /** Replaces the worker of a slot. Resolves when the new one serves and the old one is gone. @throws CommandError 404, 500 */
  recycle(slot: number): Promise<WorkerId>
  /**
   * Replaces the primary and all workers. Resolves when every slot has a worker of the new primary, or when the old one serves again.
   * @param node path of Node; undefined: the one that runs this primary
   * @param envFile absolute path of a file whose variables change the configuration
   * @throws CommandError 409 while the service drains or is upgraded, 400 for a file that cannot be read
   */
  upgrade(options: { node?: string | undefined; envFile?: string | undefined }): Promise<UpgradeOutcome>
  /** Begins to drain the service. Returns at once; does nothing when it drains already. */
  stop(): void
  /**
   * Sends a request to the ready worker that answers first: commands that need Redis run in a worker.
   * @throws CommandError when no worker is ready (503), or when the worker refuses
   * @throws RpcError when the worker does not answer in time
   */
  requestWorker<Name extends keyof WorkerRequests>(
    name: Name,
    args: WorkerRequests[Name]['args']
  ): Promise<Exclude<WorkerRequests[Name]['result'], Refusal>>
  /**
   * Samples serving workers for `ms`, all at the same time.
   * @param which a slot, every serving worker, or canary and control of the reload under way
   * @returns the files, and the workers that wrote none
   * @throws CommandError 404 for a slot without a worker, 409 without a trial, and while another file is written
   */
  profile(
    which: number | 'all' | 'trial',
    ms: number
  ): Promise<{ files: ProfileFile[]; missing: DeliveryReport['missing'] }>
  /** Replaces the worker of a slot; the old one drains and writes its heap snapshot. @throws CommandError as `profile` */
  heapSnapshot(slot: number): Promise<DiagnosticFile>
  /** Has a worker write Node's diagnostic report. @throws CommandError as `profile` */
  report(slot: number): Promise<DiagnosticFile>
  /** @throws CommandError 404 for a slot without a worker */
  diagnose(slot: number): Promise<WorkerId & Diagnostics>
}

export interface QuarantineControl {
  list(): QuarantineView[]
  suspects(): SuspectView[]
  /** Refuses a route until it is lifted. */
  add(route: RoutePattern): void
  /** @returns false when the route is not quarantined */
  lift(route: RoutePattern): boolean
}

/** A route that is refused. */
export interface QuarantineView {
  /** A method and a path: `POST /todos`. */
  route: string
  /** Added by deaths of workers, or by an operator. */
  by: 'deaths' | 'operator'
  /** `half-open`: the next request is let through. `probing`: one was let through. */
  state: 'quarantined' | 'half-open' | 'probing'
  why: string
  /** ISO 8601, UTC. */
  since: string
  /** Until the next request is let through; null: never, an operator lifts it. */
  retrySeconds: number | null
}

/** A route that was in flight at deaths, with less evidence than a quarantine needs. */
export interface SuspectView {
  route: string
  deaths: number
  /** The share of ordinary moments at which it is in flight, 0 to 1. */
  usualShare: number
  /** How much likelier the deaths are if it ends workers, as a power of ten. */
  evidence: number
}

export interface WorkerId {
  slot: number
  pid: number
}

/** A file that a worker wrote. */
export interface DiagnosticFile extends WorkerId {
  path: string
  bytes: number
}

/** A profile that was taken together with others. */
export interface ProfileFile extends DiagnosticFile {
  generation: number
  /** Set for the two workers of a trial. */
  role?: 'canary' | 'control'
}

/** The answer to the question for all hosts. */
export interface KnownHosts {
  hosts: HostView[]
  /** False: Redis is away, so `hosts` contains this host alone. */
  hostsKnown: boolean
  /** What the reader has to know about the list. */
  hostsNote?: string
}

/** What a caller asks of one reload instead of what is configured. */
export interface ReloadRequest {
  /** The share of new connections that the first worker receives, above 0 and up to 0.5. */
  share?: number
  /** How long the first worker is judged, also without traffic, in ms. */
  forMs?: number
  /** False: it is not judged. */
  verdict?: boolean
}

export interface ReloadOutcome {
  /**
   * `held`: it waits for an operator, who promotes the new release or rolls it back. `refused`: it never began, because it was not
   * this host's turn.
   */
  outcome: 'done' | 'failed' | 'stopped' | 'held' | 'refused'
  generation: number
  durationMs: number
  /** The reason of a failure. */
  why?: string
  /** How the first worker of the new release compared with the old one. */
  trial?: TrialReport | undefined
  /** What became of the connections of the old workers. */
  connections?: DrainStats
  /** The connections that were cut, by kind and reason. */
  cuts?: Cut[]
  /** What each worker waits for that lingers when the reload ends, those of earlier reloads too. */
  lingering?: WaitsFor[]
  /** The reload was under way when the command came. */
  joined?: boolean
}

export interface AutoscalingStatus {
  /** The range in which the load decides, such as 2..8; null after a command has fixed the number. */
  range: string | null
  /** The sum of the event-loop utilisation of all workers: 1 is one busy event loop. */
  load: number
  /** What prevents a higher number of workers that the load asks for: range, cpu or memory. */
  limit: string | null
  /** The last decision. */
  last: { at: string; from: number; to: number; why: string } | null
}

/** How an upgrade ended. */
export interface UpgradeOutcome {
  outcome: 'done' | 'failed' | 'stopped'
  durationMs: number
  /** The reason of a failure. */
  why?: string
  /** The new primary. */
  pid?: number
  /** Its version of muster. */
  version?: string
  /** Its version of Node. */
  node?: string
}

/** An upgrade under way. */
export interface UpgradeStatus {
  /** The other primary; undefined if it could not be started. */
  pid?: number | undefined
  version?: string | undefined
  node?: string | undefined
  /** Whether the other primary replaces the one that answers, or is replaced by it. */
  role: 'successor' | 'predecessor'
  step: string
  /** Slots that the new primary serves. */
  slots: number
  since: string
  /** Why it is rolled back. */
  why?: string | undefined
}

export interface ServiceStatus {
  version: string
  /** The host name: behind a load balancer, the next answer may come from another host. */
  host: string
  pid: number
  /** The address of the service, or the path of its Unix socket. */
  url: string
  /** The working directory of the primary. */
  folder: string
  uptimeSeconds: number
  generation: number
  desired: number
  /** Null while the number of workers is fixed and the configuration has no range. */
  autoscaling: AutoscalingStatus | null
  scheduling: string
  state: string
  /** False while a ready worker cannot reach Redis. */
  redis: boolean
  /** With the last heartbeat of each worker; without one for a worker that has not sent any. */
  workers: (WorkerView & { uptimeSeconds: number } & Partial<Heartbeat>)[]
  /** How the first worker of the new release compares, while a reload is in progress. */
  trial?: TrialReport | undefined
  /** Routes that are refused because they end workers. */
  quarantine: QuarantineView[]
  lastReload: ReloadOutcome | null
  /** Set while a reload waits for its turn among all hosts. */
  rolloutWaits?: { seconds: number; why: string }
  /** The replacement of the primary, while it goes on. */
  upgrade?: UpgradeStatus
  /** How many workers were replaced, by reason. */
  restarts: Readonly<Record<string, number>>
}
