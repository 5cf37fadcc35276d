import type { Worker as ClusterWorker } from 'node:cluster'
import type {
  Broadcast,
  Caller,
  CertificatePair,
  Collection,
  CommandAnswer,
  Ledger,
  Origin,
  Pulse,
  Told,
  Vitals
} from '../../ipc/messages.ts'
import { asFamilies, type Family } from '../../ipc/series.ts'
import { type Diagnosis, diagnose } from '../health/liveness.ts'
import { type ProcessState, readProcess } from '../health/process-stat.ts'
import type { Given, Target, TcpHandle } from '../listener/connection-router.ts'
import type { Release } from '../rollout/release.ts'
import { type Death, nameDeath } from './exit-reason.ts'
import { forkWorker, type WorkerChannel } from './fork.ts'
import type { Stderr } from './stderr-tail.ts'

/** Who is told of what a worker says and does. */
export interface WorkerListener {
  ready(worker: WorkerProcess): void
  bootFailed(worker: WorkerProcess, why: string): void
  beat(worker: WorkerProcess, vitals: Vitals): void
  counts(worker: WorkerProcess, families: Family[]): void
  redis(worker: WorkerProcess): void
  adopted(worker: WorkerProcess, connection: number): void
  /** It can take more connections than before. */
  room(worker: WorkerProcess): void
  handedOver(
    worker: WorkerProcess,
    handle: TcpHandle | undefined,
    about: { idleMs: number; origin?: Origin | undefined },
    moved: (lost: boolean) => void
  ): void
  drained(worker: WorkerProcess, ledger: Ledger): void
  /** It accepts by itself, and asks for the socket. */
  port(worker: WorkerProcess): void
  certificates(worker: WorkerProcess): CertificatePair | null
  collect(): Promise<Collection>
  pulse(): Pulse[]
  broadcast(message: Broadcast & { deadlineMs: number }): Promise<Told>
  command(worker: WorkerProcess, command: { name: string; args: object; caller: Caller }): Promise<CommandAnswer>
  /** It wants what operators see, or no longer. */
  watch(worker: WorkerProcess, on: boolean): void
  /** A newer version may have something to say that this one does not know; told once a worker. */
  notUnderstood(worker: WorkerProcess, message: string): void
  /** It sends what no worker of ours sends; it is not listened to any more. */
  misused(worker: WorkerProcess, why: string): void
  /** It has written a line to its standard error. */
  stderr(worker: WorkerProcess, line: string): void
  /** Told once, after everything else. */
  gone(worker: WorkerProcess, code: number | null, death: Death): void
}

const PING_MS = 5000

/** A worker as its parent sees it: a process, its channel, and what it said last. What is decided about it is elsewhere. */
export class WorkerProcess implements Target {
  readonly id: number
  readonly pid: number
  readonly slot: number
  readonly generation: number
  readonly channel: WorkerChannel
  readonly stderr: Stderr
  redisUp = false
  /** How many more connections it said that it can take; undefined: plenty. */
  room: number | undefined
  vitals: Vitals | undefined
  /** When it said them, in ms of `performance.now()`. */
  beatAt = 0
  /** A SIGKILL that is not ours is somebody else's doing. */
  #killed = false
  #seen: ProcessState | undefined
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
      onMisuse: (why) => listener.misused(this, why),
      onStderr: (line) => listener.stderr(this, line),
      onUnknown: (name) => listener.notUnderstood(this, name)
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

  give(connection: Given, handle: unknown): Promise<boolean> {
    return this.channel.tell({ type: 'connection', ...connection }, handle)
  }

  heard(): Promise<boolean> {
    return this.channel.ask('ping', {}, PING_MS).then(
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
  examine(timeoutMs: number): Diagnosis {
    const now = readProcess(this.pid)
    if (this.#seen && now) return diagnose(this.#seen, now, timeoutMs)
    return { verdict: 'wedged', why: `no heartbeat for ${timeoutMs} ms` }
  }

  #listen(): void {
    const listener = this.#listener
    const { channel } = this
    channel.on('port', () => listener.port(this))
    channel.on('ready', () => {
      this.#seen = readProcess(this.pid)
      listener.ready(this)
    })
    channel.on('boot-failed', ({ why }) => listener.bootFailed(this, why))
    channel.on('beat', ({ vitals }) => {
      this.#seen = readProcess(this.pid)
      this.vitals = vitals
      this.room = vitals.room
      this.beatAt = performance.now()
      listener.beat(this, vitals)
    })
    channel.on('counts', ({ families }) => {
      try {
        listener.counts(this, asFamilies(families))
      } catch {
        listener.notUnderstood(this, 'counts')
      }
    })
    channel.on('redis', ({ up }) => {
      this.redisUp = up
      listener.redis(this)
    })
    channel.on('watch', ({ on }) => listener.watch(this, on))
    channel.on('adopted', ({ id, room }) => {
      this.room = room
      listener.adopted(this, id)
    })
    channel.on('room', ({ room }) => {
      this.room = room
      listener.room(this)
    })
    channel.on('hand-over', ({ id, idleMs, origin }, handle) =>
      listener.handedOver(
        this,
        isHandle(handle) ? handle : undefined,
        { idleMs, origin },
        (lost) => void channel.tell({ type: 'moved', id, ...(lost && { lost }) })
      )
    )
    channel.answer('certificates', () => listener.certificates(this))
    channel.answer('collect', () => listener.collect())
    channel.answer('pulse', () => listener.pulse())
    channel.answer('broadcast', (message) => listener.broadcast(message))
    channel.answer('command', (command) => listener.command(this, command))
    channel.answer('drained', (ledger) => {
      listener.drained(this, ledger)
      return null
    })
    // A process that could not be made has no exit, only an error (EAGAIN, EMFILE).
    this.#worker.on('error', (error) => {
      if (this.pid === 0) listener.gone(this, null, { how: error.message, reason: 'crash' })
    })
    this.#worker.once('exit', (code: number | null, signal: string | null) => void this.#exited(code, signal))
  }

  async #exited(code: number | null, signal: string | null): Promise<void> {
    // A death that was ordered needs no words, and one in order has none.
    const inOrder = this.#killed || code === 0
    const death: Death = inOrder
      ? { how: signal ?? `exit code ${code}`, reason: 'crash' }
      : nameDeath(code, signal, await this.stderr.lastWords())
    this.stderr.flush()
    this.#listener.gone(this, code, death)
  }
}

const isHandle = (handle: unknown): handle is TcpHandle =>
  typeof (handle as { close?: unknown } | undefined)?.close === 'function'
