import cluster, { type Worker as ClusterWorker } from 'node:cluster'
import { EventEmitter } from 'node:events'
import { EXIT_CONFIG } from '../errors.ts'
import { type Channel, createChannel } from '../ipc/channel.ts'
import type {
  AskOfPrimary,
  AskOfWorker,
  Collection,
  Ledger,
  ServiceView,
  ToPrimary,
  ToWorker
} from '../ipc/messages.ts'
import type { Logger } from '../log.ts'
import { Dispatcher, type Target } from './dispatch.ts'
import {
  type Action,
  apply,
  type Event,
  initialState,
  type Limits,
  plan,
  type State,
  type Worker,
  wakeAt
} from './plan.ts'

type WorkerChannel = Channel<ToWorker, ToPrimary, AskOfWorker, AskOfPrimary>

/** A worker process as the primary holds it; what is decided about it is in the {@link State}. */
interface Handle extends Target {
  readonly worker: ClusterWorker
  readonly channel: WorkerChannel
  redisUp: boolean
}

/** How a rolling restart ended. */
export interface RollOutcome {
  outcome: 'done' | 'failed' | 'stopped'
  generation: number
  durationMs: number
  why?: string
  /** Connections of all the workers it replaced. */
  ledger: Ledger
}

export interface SupervisorOptions {
  workers: number
  limits: Limits
  /** How long a worker may drain, in ms; the plan's own deadline is a little later. */
  drainMs: number
  /** Environment of a worker, beside the primary's own. */
  environment: (slot: number, generation: number) => Record<string, string>
  /** Called for every worker process begun and ended. */
  onPid: (pid: number, alive: boolean) => void
  /** Adds the primary's own series to a collection of metrics. */
  metrics: () => Collection['primary']
  log: Logger
}

const METRICS_MS = 1000
const PING_MS = 5000

/**
 * Performs what {@link plan} decides, with node:cluster. Whatever happens becomes an event and ends in `reconcile`.
 * Emits `exit` once, when the service has ended, `roll` when a rolling restart has, and `drained` with the
 * ledger of every worker that leaves in order.
 */
export class Supervisor extends EventEmitter<{
  exit: [code: 'drained' | 'cannot-boot', why: string]
  roll: [RollOutcome]
  drained: [Ledger]
}> {
  readonly dispatcher: Dispatcher
  readonly #options: SupervisorOptions
  readonly #log: Logger
  readonly #handles = new Map<number, Handle>()
  #state: State
  #targets: readonly Handle[] = []
  #wake: NodeJS.Timeout | undefined
  #reconciling = false
  #told = ''
  #collecting: Promise<Collection> | undefined
  #rollStarted = { at: 0, ledger: emptyLedger() }
  #ended = false

  constructor(options: SupervisorOptions) {
    super()
    this.#options = options
    this.#log = options.log
    this.#state = initialState(options.workers)
    this.dispatcher = new Dispatcher(() => this.#targets, options.log)
  }

  get state(): State {
    return this.#state
  }

  /** Makes an event part of the state and does what follows from it. */
  dispatch(event: Event): void {
    this.#apply(event)
    this.reconcile()
  }

  /** Does what the state asks for, until nothing is left to do; then sleeps until a deadline of it. */
  reconcile(): void {
    if (this.#reconciling || this.#ended) return
    this.#reconciling = true
    const { limits } = this.#options
    let time = now()
    for (let actions = plan(this.#state, limits, time); actions.length > 0 && !this.#ended; ) {
      for (const action of actions) this.#perform(action)
      time = now()
      actions = plan(this.#state, limits, time)
    }
    this.#reconciling = false
    this.#tellService()
    clearTimeout(this.#wake)
    // Of the same moment as the last plan: a deadline between two moments would be in neither.
    const at = wakeAt(this.#state, limits, time)
    if (at !== undefined && !this.#ended) this.#wake = setTimeout(() => this.reconcile(), Math.max(1, at - now()))
  }

  /** What everyone may know of the service. */
  view(): ServiceView {
    const { phase, roll, everReady, desired, workers } = this.#state
    const ready = workers.filter((worker) => worker.status === 'ready')
    return {
      state: phase !== 'running' ? 'draining' : !everReady ? 'starting' : roll ? 'reloading' : 'running',
      desired,
      workers: workers.map(({ slot, pid, generation, status }) => ({ slot, pid, generation, status })),
      redis: ready.length > 0 && ready.every((worker) => this.#handles.get(worker.id)?.redisUp === true)
    }
  }

  /** Metrics of every process that answers in time. One collection at a time: who asks meanwhile shares it. */
  collect(): Promise<Collection> {
    this.#collecting ??= this.#collect().finally(() => {
      this.#collecting = undefined
    })
    return this.#collecting
  }

  /** Ends every worker at once; nothing is finished. */
  cut(): void {
    for (const { worker } of this.#handles.values()) worker.process.kill('SIGKILL')
  }

  #apply(event: Event): void {
    const before = this.#state
    this.#state = apply(before, event, now(), this.#options.limits)
    if (this.#state === before) return
    if (this.#state.roll && this.#state.roll.generation !== before.roll?.generation) {
      this.#rollStarted = { at: now(), ledger: emptyLedger() }
      this.#log.info({ generation: this.#state.roll.generation }, 'rolling restart begins')
    }
    this.#targets = this.#state.workers.flatMap(({ id, status }) =>
      status === 'ready' ? (this.#handles.get(id) ?? []) : []
    )
    this.dispatcher.flush()
  }

  #perform(action: Action): void {
    switch (action.type) {
      case 'fork':
        this.#fork(action.slot, action.generation)
        return
      case 'drain': {
        this.#apply({ type: 'drain-sent', id: action.id })
        const { handOver } = action
        void this.#handles.get(action.id)?.channel.tell({ type: 'drain', handOver, deadlineMs: this.#options.drainMs })
        return
      }
      case 'kill': {
        this.#log.error({ ...this.#describe(action.id), why: action.why }, 'killing a worker')
        this.#apply({ type: 'kill-sent', id: action.id, reason: action.reason })
        // worker.kill() asks a worker to leave, which one that hangs does not hear.
        this.#handles.get(action.id)?.worker.process.kill('SIGKILL')
        return
      }
      case 'end-roll':
        this.#endRoll(action)
        return
      case 'exit':
        this.#ended = true
        this.dispatcher.giveUp()
        this.emit('exit', action.code, action.why)
        return
    }
  }

  #fork(slot: number, generation: number): void {
    const worker = cluster.fork(this.#options.environment(slot, generation))
    const channel: WorkerChannel = createChannel(worker.process)
    const { id } = worker
    const pid = worker.process.pid ?? 0
    this.#handles.set(id, {
      id,
      worker,
      channel,
      redisUp: false,
      give: (connection, handle) => channel.tell({ type: 'connection', ...connection }, handle),
      heard: () =>
        channel.ask('ping', {}, PING_MS).then(
          () => true,
          () => false
        )
    })
    if (pid) this.#options.onPid(pid, true)
    this.#apply({ type: 'forked', id, pid, slot, generation })
    this.#log.info(this.#describe(id), 'worker starts')
    worker.on('error', (error) => this.#log.error({ err: error, ...this.#describe(id) }, 'worker process'))
    worker.once('exit', (code, signal) => this.#exited(id, pid, code, signal))
    this.#listen(id, channel)
  }

  #listen(id: number, channel: WorkerChannel): void {
    channel.on('ready', () => {
      this.dispatch({ type: 'ready', id })
      this.#log.info(this.#describe(id), 'worker is ready')
    })
    channel.on('boot-failed', ({ why }) => this.dispatch({ type: 'boot-failed', id, why }))
    channel.on('redis', ({ up }) => {
      const handle = this.#handles.get(id)
      if (handle) handle.redisUp = up
      this.#tellService()
    })
    channel.on('adopted', (message) => this.dispatcher.adopted(message.id))
    channel.on('hand-over', ({ id: theirs, idleMs }, handle) => {
      // Without its descriptor (this process may be out of them) it stays where it is, and is cut with the drain's end.
      if (!handle) this.#log.error(this.#describe(id), 'a connection that was handed over did not arrive')
      else
        this.dispatcher.take(
          handle as { close(): void },
          idleMs,
          () => void channel.tell({ type: 'moved', id: theirs })
        )
    })
    channel.answer('collect', () => this.collect())
    channel.answer('drained', (ledger) => {
      const total = this.#rollStarted.ledger
      for (const key of Object.keys(total) as (keyof Ledger)[]) total[key] += ledger[key]
      this.emit('drained', ledger)
      return null
    })
  }

  #exited(id: number, pid: number, code: number | null, signal: string | null): void {
    const how = signal ?? `exit code ${code}`
    const described = this.#describe(id)
    const expected = described.status === 'draining' && code === 0
    this.#log[expected ? 'info' : 'error']({ ...described, how }, 'worker is gone')
    if (pid) this.#options.onPid(pid, false)
    this.#handles.delete(id)
    if (code === EXIT_CONFIG) this.#apply({ type: 'boot-failed', id, why: `worker ${described.slot} cannot boot` })
    this.#apply({ type: 'exit', id, how, random: Math.random() })
    this.dispatcher.gone(id)
    this.reconcile()
  }

  #endRoll({ outcome, generation, why }: Extract<Action, { type: 'end-roll' }>): void {
    const { at, ledger } = this.#rollStarted
    const result: RollOutcome = {
      outcome,
      generation,
      durationMs: Math.round(now() - at),
      ledger,
      ...(why !== undefined && { why })
    }
    this.#apply({ type: 'roll-ended' })
    this.#log[outcome === 'failed' ? 'error' : 'info'](result, `rolling restart ${outcome}`)
    this.emit('roll', result)
  }

  /** Every worker reads the service's state locally; it is told only what has changed. */
  #tellService(): void {
    const view = this.view()
    const text = JSON.stringify(view)
    if (text === this.#told) return
    this.#told = text
    for (const { channel } of this.#handles.values()) void channel.tell({ type: 'service', view })
  }

  async #collect(): Promise<Collection> {
    const asked = this.#state.workers.filter((worker) => worker.status !== 'starting').sort(newestFirst)
    const answers = await Promise.all(
      asked.map(async ({ id, slot, pid }) => {
        const handle = this.#handles.get(id)
        if (!handle) return { slot, pid, why: 'it has just left' }
        return handle.channel.ask('metrics', {}, METRICS_MS).then(
          (metrics) => ({ slot, metrics }),
          (error: Error) => ({ slot, pid, why: error.message })
        )
      })
    )
    return {
      workers: answers.filter((answer) => 'metrics' in answer),
      missing: answers.filter((answer) => 'why' in answer),
      primary: this.#options.metrics()
    }
  }

  #describe(id: number) {
    const worker = this.#state.workers.find((one) => one.id === id)
    return { slot: worker?.slot, worker: worker?.pid, generation: worker?.generation, status: worker?.status }
  }
}

const now = () => performance.now()
const emptyLedger = (): Ledger => ({ held: 0, handedOver: 0, answered: 0, idle: 0, left: 0, cut: 0 })
const newestFirst = (a: Worker, b: Worker) => b.generation - a.generation || b.id - a.id
