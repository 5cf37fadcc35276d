import type { WaitsFor } from '../../ipc/drain-report.ts'
import type { DrainReport, Heartbeat, InFlight } from '../../ipc/messages.ts'
import { assessLiveness, type Liveness } from '../health/liveness.ts'
import type { ProcessStat } from '../health/process-stat.ts'
import type { ConnectionOffer, RoutingTarget } from '../listener/routed-connection.ts'
import type { KillReason, Status } from '../policy/types.ts'
import type { ExitedWorker } from '../quarantine/quarantine-keeper.ts'
import type { Release } from '../rollout/release.ts'
import { classifyExit, type ExitReason } from './exit-reason.ts'
import type { ForkedWorker, WorkerChannel } from './fork.ts'
import type { ProcessHost } from './process-host.ts'
import type { StderrTail } from './stderr-tail.ts'

/** Callbacks about the process. What its messages mean is in worker-messages.ts. */
export interface WorkerProcessListener {
  /** The worker sent a message that this version does not know, or whose fields are wrong. Called once. */
  unknownMessage(worker: WorkerProcess, name: string): void
  /** The worker wrote garbage to its channel, or flooded it. Its messages are ignored from now on. */
  protocolViolation(worker: WorkerProcess, cause: string): void
  /** The worker wrote a line to its standard error. */
  stderr(worker: WorkerProcess, line: string): void
  /** Called once, after every other callback. `code` is null after a signal, or if no process could be created. */
  exited(worker: WorkerProcess, code: number | null, reason: ExitReason): void
}

export interface WorkerProcessOptions {
  slot: number
  generation: number
  release: Release
  /** Environment variables, in addition to the primary's own. */
  environment: Record<string, string>
}

const PING_MS = 5000

/** A worker process, its channel, and what it reported last. It takes no decisions. */
export class WorkerProcess implements RoutingTarget {
  readonly id: number
  /** 0 if no process could be created. */
  readonly pid: number
  readonly slot: number
  readonly generation: number
  readonly channel: WorkerChannel
  readonly stderr: StderrTail
  status: Status = 'starting'
  redisUp = false
  /** What a lingering worker waits for, as it reported last. */
  waitsFor: WaitsFor | undefined
  /** What had become of its connections when it began to linger. */
  settledReport: DrainReport | undefined
  resumes = false
  /** What its hang report lists; undefined: it has none, or its requests could not be read. */
  hungWith: readonly InFlight[] | undefined
  /** How many more connections the worker can take, as it reported last; undefined: enough. */
  room: number | undefined
  heartbeat: Heartbeat | undefined
  /** When the last heartbeat arrived, in ms of `performance.now()`. */
  heartbeatAt = 0
  /** Why this process has sent it the SIGKILL. */
  killed: KillReason | undefined
  #statAtHeartbeat: ProcessStat | undefined
  readonly #worker: ForkedWorker['worker']
  readonly #host: ProcessHost
  readonly #listener: WorkerProcessListener

  /** Forks the process. @throws Error when no process can be created */
  constructor(options: WorkerProcessOptions, host: ProcessHost, listener: WorkerProcessListener) {
    this.slot = options.slot
    this.generation = options.generation
    this.#host = host
    this.#listener = listener
    const { worker, channel, stderr } = host.fork(options.release.exec, options.environment, {
      onProtocolViolation: (cause) => listener.protocolViolation(this, cause),
      onStderr: (line) => listener.stderr(this, line),
      onUnknownMessage: (name) => listener.unknownMessage(this, name)
    })
    this.#worker = worker
    this.id = worker.id
    this.pid = worker.process.pid ?? 0
    this.channel = channel
    this.stderr = stderr
    // A process that could not be created emits an error (EAGAIN, EMFILE) and never an exit.
    worker.on('error', (error) => {
      if (this.pid === 0) listener.exited(this, null, { cause: error.message, reason: 'crash' })
    })
    worker.once('exit', (code, signal) => void this.#exited(code, signal))
  }

  get process() {
    return this.#worker.process
  }

  /** Fields that name the worker in a log line. `worker` is its pid: `pid` is the process that logs. */
  get logFields() {
    const { slot, pid, generation, status } = this
    return { slot, worker: pid, generation, status }
  }

  offer(connection: ConnectionOffer, handle: unknown): Promise<boolean> {
    return this.channel.notify({ type: 'connection', ...connection }, handle)
  }

  responds(): Promise<boolean> {
    return this.channel.request('ping', {}, PING_MS).then(
      () => true,
      () => false
    )
  }

  /** Sends SIGKILL. `cluster.Worker.kill` only asks the worker to leave, which a hung worker does not hear. */
  kill(reason: KillReason): void {
    this.killed = reason
    this.process.kill('SIGKILL')
  }

  becomeReady(): void {
    this.status = 'ready'
    this.#statAtHeartbeat = this.#host.readStat(this.pid)
  }

  recordHeartbeat(heartbeat: Heartbeat): void {
    this.#statAtHeartbeat = this.#host.readStat(this.pid)
    const { waitsFor, ...measured } = heartbeat
    this.heartbeat = measured
    if (waitsFor) this.waitsFor = waitsFor
    this.room = heartbeat.room
    this.heartbeatAt = performance.now()
  }

  /** Finds out whether a silent worker hangs or is starved of CPU. @param timeoutMs the silence that is allowed */
  examine(timeoutMs: number): Liveness {
    const now = this.#host.readStat(this.pid)
    if (this.#statAtHeartbeat && now) return assessLiveness(this.#statAtHeartbeat, now, timeoutMs)
    return { verdict: 'hung', cause: `no heartbeat for ${timeoutMs} ms` }
  }

  /** @param expected it has drained and left in order, or was not wanted any more while it started */
  describeExit(expected: boolean): ExitedWorker {
    const { id, slot, pid, generation, status, killed, hungWith } = this
    const died = status !== 'starting' && !expected && (!killed || hungWith !== undefined)
    return { id, slot, pid, generation, died, hungWith }
  }

  async #exited(code: number | null, signal: string | null): Promise<void> {
    // Only an unexpected exit is explained by what the process wrote last.
    const expected = this.killed !== undefined || code === 0
    const reason: ExitReason = expected
      ? { cause: signal ?? `exit code ${code}`, reason: 'crash' }
      : classifyExit(code, signal, await this.stderr.lastOutput())
    this.stderr.flush()
    this.#listener.exited(this, code, reason)
  }
}
