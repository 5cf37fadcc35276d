import type { Worker as ClusterWorker } from 'node:cluster'
import type {
  Broadcast,
  Caller,
  CertificatePair,
  Collection,
  CommandAnswer,
  DeliveryReport,
  DrainStats,
  Heartbeat,
  Origin,
  WorkerRequestCount
} from '../../ipc/messages.ts'
import { type Family, parseFamilies } from '../../ipc/series.ts'
import { assessLiveness, type Liveness } from '../health/liveness.ts'
import { type ProcessStat, readProcessStat } from '../health/process-stat.ts'
import type { ConnectionOffer, RoutingTarget, TcpHandle } from '../listener/connection-router.ts'
import type { Release } from '../rollout/release.ts'
import { classifyExit, type ExitReason } from './exit-reason.ts'
import { forkWorker, type WorkerChannel } from './fork.ts'
import type { StderrTail } from './stderr-tail.ts'

/** Who is told of what a worker says and does. */
export interface WorkerListener {
  ready(worker: WorkerProcess): void
  bootFailed(worker: WorkerProcess, why: string): void
  heartbeat(worker: WorkerProcess, heartbeat: Heartbeat): void
  counts(worker: WorkerProcess, families: Family[]): void
  redis(worker: WorkerProcess): void
  transferred(worker: WorkerProcess, connection: number): void
  /** It can take more connections than before. */
  room(worker: WorkerProcess): void
  handedOver(
    worker: WorkerProcess,
    handle: TcpHandle | undefined,
    about: { idleMs: number; origin?: Origin | undefined },
    moved: (lost: boolean) => void
  ): void
  drained(worker: WorkerProcess, stats: DrainStats): void
  /** It accepts by itself, and asks for the socket. */
  port(worker: WorkerProcess): void
  certificates(worker: WorkerProcess): CertificatePair | null
  collect(): Promise<Collection>
  requestCounts(): WorkerRequestCount[]
  broadcast(message: Broadcast & { deadlineMs: number }): Promise<DeliveryReport>
  command(worker: WorkerProcess, command: { name: string; args: object; caller: Caller }): Promise<CommandAnswer>
  /** It wants what operators see, or no longer. */
  watch(worker: WorkerProcess, on: boolean): void
  /** A newer version may have something to say that this one does not know; told once a worker. */
  unknownMessage(worker: WorkerProcess, message: string): void
  /** It sends what no worker of ours sends; it is not listened to any more. */
  protocolViolation(worker: WorkerProcess, why: string): void
  /** It has written a line to its standard error. */
  stderr(worker: WorkerProcess, line: string): void
  /** Told once, after everything else. */
  exited(worker: WorkerProcess, code: number | null, death: ExitReason): void
}

const PING_MS = 5000

/** A worker as its parent sees it: a process, its channel, and what it said last. What is decided about it is elsewhere. */
export class WorkerProcess implements RoutingTarget {
  readonly id: number
  readonly pid: number
  readonly slot: number
  readonly generation: number
  readonly channel: WorkerChannel
  readonly stderr: StderrTail
  redisUp = false
  /** How many more connections it said that it can take; undefined: plenty. */
  room: number | undefined
  heartbeat: Heartbeat | undefined
  /** When it said them, in ms of `performance.now()`. */
  heartbeatAt = 0
  /** A SIGKILL that is not ours is somebody else's doing. */
  #killed = false
  #seen: ProcessStat | undefined
  readonly #worker: ClusterWorker
  readonly #listener: WorkerListener

  /** Forks it. @throws Error when no process can be made */
  constructor(
    slot: number,
    generation: number,
    release: Release,
    environment: Record<string, string>,
    listener: WorkerListener
  ) {
    this.slot = slot
    this.generation = generation
    this.#listener = listener
    const { worker, channel, stderr } = forkWorker(release.exec, environment, {
      onProtocolViolation: (why) => listener.protocolViolation(this, why),
      onStderr: (line) => listener.stderr(this, line),
      onUnknownMessage: (name) => listener.unknownMessage(this, name)
    })
    this.#worker = worker
    this.id = worker.id
    this.pid = worker.process.pid ?? 0
    this.channel = channel
    this.stderr = stderr
    this.#listen()
  }

  get process() {
    return this.#worker.process
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

  /** At once. `cluster.Worker.kill` asks a worker to leave, which one that hangs does not hear. */
  kill(): void {
    this.#killed = true
    this.process.kill('SIGKILL')
  }

  /** What ails it, that has not been heard for so long. */
  examine(timeoutMs: number): Liveness {
    const now = readProcessStat(this.pid)
    if (this.#seen && now) return assessLiveness(this.#seen, now, timeoutMs)
    return { verdict: 'wedged', why: `no heartbeat for ${timeoutMs} ms` }
  }

  #listen(): void {
    const listener = this.#listener
    const { channel } = this
    channel.on('port', () => listener.port(this))
    channel.on('ready', () => {
      this.#seen = readProcessStat(this.pid)
      listener.ready(this)
    })
    channel.on('boot-failed', ({ why }) => listener.bootFailed(this, why))
    channel.on('heartbeat', ({ heartbeat }) => {
      this.#seen = readProcessStat(this.pid)
      this.heartbeat = heartbeat
      this.room = heartbeat.room
      this.heartbeatAt = performance.now()
      listener.heartbeat(this, heartbeat)
    })
    channel.on('counters', ({ families }) => {
      try {
        listener.counts(this, parseFamilies(families))
      } catch {
        listener.unknownMessage(this, 'counters')
      }
    })
    channel.on('redis', ({ up }) => {
      this.redisUp = up
      listener.redis(this)
    })
    channel.on('watch', ({ on }) => listener.watch(this, on))
    channel.on('accepted', ({ id, room }) => {
      this.room = room
      listener.transferred(this, id)
    })
    channel.on('room', ({ room }) => {
      this.room = room
      listener.room(this)
    })
    channel.on('transfer', ({ id, idleMs, origin }, handle) =>
      listener.handedOver(
        this,
        isHandle(handle) ? handle : undefined,
        { idleMs, origin },
        (lost) => void channel.notify({ type: 'transferred', id, ...(lost && { lost }) })
      )
    )
    channel.respond('certificates', () => listener.certificates(this))
    channel.respond('collect-metrics', () => listener.collect())
    channel.respond('request-counts', () => listener.requestCounts())
    channel.respond('broadcast', (message) => listener.broadcast(message))
    channel.respond('command', (command) => listener.command(this, command))
    channel.respond('drained', (stats) => {
      listener.drained(this, stats)
      return null
    })
    // A process that could not be made has no exit, only an error (EAGAIN, EMFILE).
    this.#worker.on('error', (error) => {
      if (this.pid === 0) listener.exited(this, null, { how: error.message, reason: 'crash' })
    })
    this.#worker.once('exit', (code: number | null, signal: string | null) => void this.#exited(code, signal))
  }

  async #exited(code: number | null, signal: string | null): Promise<void> {
    // A death that was ordered needs no words, and one in order has none.
    const inOrder = this.#killed || code === 0
    const death: ExitReason = inOrder
      ? { how: signal ?? `exit code ${code}`, reason: 'crash' }
      : classifyExit(code, signal, await this.stderr.lastWords())
    this.stderr.flush()
    this.#listener.exited(this, code, death)
  }
}

const isHandle = (handle: unknown): handle is TcpHandle =>
  typeof (handle as { close?: unknown } | undefined)?.close === 'function'
