import { EventEmitter } from 'node:events'
import { EXIT_CONFIG } from '../errors.ts'
import type { Caller, Collection, CommandAnswer, Ledger, ServiceView } from '../ipc/messages.ts'
import type { Logger } from '../log.ts'
import { apply } from './apply.ts'
import { keepBlackBox } from './black-box.ts'
import type { Clients } from './clients.ts'
import { Clock } from './clock.ts'
import { Counts } from './counts.ts'
import type { Death } from './death.ts'
import { Dispatcher, type TcpHandle } from './dispatch.ts'
import type { Happening } from './journal.ts'
import { plan, wakeAt } from './plan.ts'
import type { Port } from './port.ts'
import { type Peer, relay } from './relay.ts'
import type { Releases } from './release.ts'
import { type RollOutcome, Rolls } from './rolls.ts'
import { type Action, type Event, find, initialState, isDegraded, type Limits, type State, serves } from './state.ts'
import { type WorkerListener, WorkerProcess } from './worker-process.ts'

export interface SupervisorOptions {
  workers: number
  limits: Limits
  /** How long a worker may drain, in ms; the plan's own deadline is a little later. */
  drainMs: number
  releases: Releases
  /** Where black boxes are written. */
  runDir: string
  /** Environment of a worker, beside the primary's own. */
  environment: (worker: { slot: number; generation: number; app: string | undefined }) => Record<string, string>
  /** Where each client is to get the same worker every time. */
  clients?: Clients | undefined
  /** Called for every worker process begun and ended. */
  onPid: (pid: number, alive: boolean) => void
  /** Metrics of every process that answers in time. */
  collect: () => Promise<Collection>
  /** A command that came through a worker. */
  command: (name: string, args: object, caller: Caller) => Promise<CommandAnswer>
  /** A worker that wants what operators see, or no longer. */
  watch: (worker: WorkerProcess, on: boolean) => void
  log: Logger
}

/** Code that is no longer what it was is left alone until it has not changed for so long. */
const SETTLE_MS = 1000
const LONGEST_TIMER_MS = 2 ** 31 - 1

/**
 * Performs what {@link plan} decides, with node:cluster. Whatever happens becomes an event and ends in `reconcile`.
 * Emits `exit` once, when the service has ended, `roll` when a rolling restart has, `drained` with the ledger of every
 * worker that leaves in order, `change` when the service is no longer as it was told, `reconciled` whenever the state
 * may be another, and `journal` for whatever happens to a worker, with its reason.
 */
export class Supervisor extends EventEmitter<{
  exit: [code: Extract<Action, { type: 'exit' }>['code'], why: string]
  roll: [RollOutcome]
  drained: [Ledger]
  change: [ServiceView]
  reconciled: []
  journal: [Happening]
}> {
  readonly dispatcher: Dispatcher
  /** What workers have counted, those that are gone included. */
  readonly counts = new Counts()
  /** What workers that accept by themselves are given. */
  port: Port | undefined
  readonly #options: SupervisorOptions
  readonly #log: Logger
  readonly #workers = new Map<number, WorkerProcess>()
  readonly #clock: Clock
  readonly #rolls: Rolls
  #state: State
  #targets: readonly WorkerProcess[] = []
  #wake: NodeJS.Timeout | undefined
  #reconciling = false
  #told = ''
  #ended = false

  constructor(options: SupervisorOptions) {
    super()
    // Every command that waits for something listens.
    this.setMaxListeners(0)
    this.#options = options
    this.#log = options.log
    this.#clock = new Clock((ms) => this.#log.warn({ ms: Math.round(ms) }, 'the primary itself stood still'))
    this.#state = initialState(options.workers)
    this.#rolls = new Rolls(options.releases)
    options.releases.take(this.#state.generation)
    this.dispatcher = new Dispatcher(() => this.#targets, options.log, options.clients)
  }

  get state(): State {
    return this.#state
  }

  /** When a worker entered its status, and for how long ago that is, are on this clock; in ms. */
  now(): number {
    return this.#clock.now()
  }

  /** What a worker said of itself last. */
  vitalsOf(id: number) {
    return this.#workers.get(id)?.vitals
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
    let time = this.now()
    for (let actions = plan(this.#state, limits, time); actions.length > 0 && !this.#ended; ) {
      for (const action of actions) this.#perform(action)
      time = this.now()
      actions = plan(this.#state, limits, time)
    }
    this.#reconciling = false
    this.#tellService()
    this.emit('reconciled')
    clearTimeout(this.#wake)
    // Of the same moment as the last plan: a deadline between two moments would be in neither.
    const at = wakeAt(this.#state, limits, time)
    if (at === undefined || this.#ended) return
    this.#wake = setTimeout(() => this.reconcile(), Math.min(Math.max(1, at - time), LONGEST_TIMER_MS))
  }

  /** What everyone may know of the service. */
  view(): ServiceView {
    const { phase, roll, everReady, desired, workers } = this.#state
    const ready = workers.filter(serves)
    const running = roll ? 'reloading' : isDegraded(this.#state, this.#options.limits) ? 'degraded' : 'running'
    return {
      state: phase !== 'running' ? 'draining' : everReady ? running : 'starting',
      desired,
      workers: workers.map(({ slot, pid, generation, status }) => ({ slot, pid, generation, status })),
      redis: ready.length > 0 && ready.every((worker) => this.#workers.get(worker.id)?.redisUp === true)
    }
  }

  /** Processes that serve or finish, the newest first. */
  live(): WorkerProcess[] {
    return this.#state.workers
      .filter((worker) => worker.status !== 'starting')
      .sort((a, b) => b.generation - a.generation || b.id - a.id)
      .flatMap(({ id }) => this.#workers.get(id) ?? [])
  }

  /** Accepts no more; resolves when every connection that was accepted here is at a worker. */
  async closePort(): Promise<void> {
    await this.port?.close()
    await this.dispatcher.settled()
  }

  /** Every worker, for what is asked of it. */
  peers(): Peer[] {
    return this.#state.workers.flatMap(({ id, slot, pid, status }) => {
      const channel = this.#workers.get(id)?.channel
      return channel ? { slot, pid, status, channel } : []
    })
  }

  /** Ends every worker at once; nothing is finished. */
  cut(): void {
    for (const worker of this.#workers.values()) worker.kill()
  }

  #apply(event: Event): void {
    const before = this.#state
    this.#state = apply(before, event, this.now(), this.#options.limits)
    if (this.#state === before) return
    this.#targets = this.#state.workers.filter(serves).flatMap(({ id }) => this.#workers.get(id) ?? [])
    this.dispatcher.flush()
    const { roll, generation } = this.#state
    if (roll && roll.generation !== before.roll?.generation) this.#beginRoll(roll.generation)
    if (roll?.failure !== undefined && before.roll?.failure === undefined) {
      this.#log.error({ generation: roll.generation, why: roll.failure }, 'the new release fails: going back')
      if (!this.#options.releases.isOnDisk(this.#options.releases.of(generation))) this.#releaseGone()
    }
  }

  #perform(action: Action): void {
    switch (action.type) {
      case 'fork':
        this.#fork(action)
        return
      case 'drain': {
        this.#note('drains', action.id, action.why)
        this.#apply({ type: 'drain-sent', id: action.id, recycled: action.recycled })
        const { handOver } = action
        const snapshot = find(this.#state, action.id)?.snapshot
        const order = {
          type: 'drain',
          handOver,
          deadlineMs: this.#options.drainMs,
          ...(snapshot && { snapshot })
        } as const
        void this.#workers.get(action.id)?.channel.tell(order)
        return
      }
      case 'examine':
        this.#examine(action.id)
        return
      case 'kill':
        this.#log.error({ ...this.#describe(action.id), why: action.why }, 'killing a worker')
        this.#note('killed', action.id, action.why)
        this.#apply({ type: 'kill-sent', id: action.id, reason: action.reason })
        this.#workers.get(action.id)?.kill()
        return
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

  #fork({ slot, generation, why }: Extract<Action, { type: 'fork' }>): void {
    if (!this.#mayFork(slot, generation)) return
    const { releases, environment, onPid } = this.#options
    const release = releases.of(generation)
    const given = environment({ slot, generation, app: release.app })
    try {
      const worker = new WorkerProcess(slot, generation, release, given, this.#listener)
      const { id, pid } = worker
      this.#workers.set(id, worker)
      if (pid) onPid(pid, true)
      this.#apply({ type: 'forked', id, pid, slot, generation, jitter: Math.random() })
      this.#log.info({ ...this.#describe(id), why, release: release.id }, 'worker starts')
      this.#note('starts', id, why, { release: release.id })
    } catch (error) {
      const how = (error as Error).message
      this.#log.error({ err: error, slot, generation }, 'no worker could be forked')
      this.emit('journal', { event: 'not forked', slot, generation, why: how })
      this.#apply({ type: 'fork-failed', slot, generation, how, random: Math.random() })
    }
  }

  /** One generation is one release: none is forked of code that is being changed. */
  #mayFork(slot: number, generation: number): boolean {
    const { releases } = this.#options
    if (releases.isOnDisk(releases.of(generation))) return true
    if (generation !== this.#state.generation) {
      this.#apply({ type: 'roll-failed', why: 'the code on disk changed while it was rolled out' })
      return false
    }
    this.#releaseGone()
    const settled = releases.isSettled(SETTLE_MS)
    if (settled) releases.take(generation)
    else this.#apply({ type: 'fork-deferred', slot, ms: SETTLE_MS })
    return settled
  }

  /** There is no way back to the code that serves, and the next worker that dies is replaced by one of other code. */
  #releaseGone(): void {
    if (this.#state.releaseGone) return
    this.#apply({ type: 'release-gone' })
    const { id } = this.#options.releases.of(this.#state.generation)
    const why = `release ${id} is no longer on disk: a worker that fails is replaced by one of the code that is there`
    this.#log.warn({ generation: this.#state.generation, release: id }, why)
    this.emit('journal', { event: 'release gone', generation: this.#state.generation, why })
  }

  readonly #listener: WorkerListener = {
    ready: ({ id }) => {
      this.#note('ready', id)
      this.dispatch({ type: 'ready', id })
      this.#log.info(this.#describe(id), 'worker is ready')
    },
    bootFailed: ({ id }, why) => {
      this.#log.error({ ...this.#describe(id), why }, 'worker cannot boot')
      this.#note('cannot boot', id, why)
      this.dispatch({ type: 'boot-failed', id, why })
    },
    beat: ({ id }, { rssBytes, requests }) => this.dispatch({ type: 'beat', id, rssBytes, requests }),
    counts: ({ id }, families) => this.counts.heard(id, families),
    redis: () => this.#tellService(),
    adopted: ({ id }, connection) => this.dispatcher.adopted(connection, id),
    handedOver: ({ id, slot }, handle: TcpHandle | undefined, idleMs, moved) => {
      // Without its descriptor (this process may be out of them) it stays where it is, and is cut with the drain's end.
      if (handle) this.dispatcher.take(handle, idleMs, slot, moved)
      else this.#log.error(this.#describe(id), 'a connection that was handed over did not arrive')
    },
    drained: ({ id }, ledger) => {
      const { held, handedOver, cut } = ledger
      this.#note('drained', id, `${handedOver} of ${held} connections handed over`, { held, handedOver, cut })
      this.#rolls.add(ledger)
      this.emit('drained', ledger)
      this.dispatch({ type: 'emptied', id })
    },
    port: ({ channel }) => void channel.tell({ type: 'port' }, this.port?.shared),
    collect: () => this.#options.collect(),
    pulse: () => [...this.#workers.values()].map(({ pid, vitals }) => ({ pid, requests: vitals?.requests ?? 0 })),
    broadcast: (message) => relay(this.peers(), message),
    command: async ({ id }, { name, args, caller }) => {
      this.dispatch({ type: 'errand', id, change: 1 })
      try {
        return await this.#options.command(name, args, caller)
      } finally {
        this.dispatch({ type: 'errand', id, change: -1 })
      }
    },
    watch: (worker, on) => this.#options.watch(worker, on),
    notUnderstood: ({ id }, message) =>
      this.#log.warn({ ...this.#describe(id), message }, 'a message that is not understood'),
    misused: ({ id }, why) => {
      this.#log.error({ ...this.#describe(id), why }, 'a worker misuses its channel')
      this.dispatch({ type: 'misused', id, why })
    },
    gone: (worker, code, death) => this.#gone(worker, code, death)
  }

  /** Is it wedged, or does it only get no CPU? Who is wedged is replaced at once, and killed when its black box is read. */
  #examine(id: number): void {
    const worker = this.#workers.get(id)
    if (!worker) return
    const { verdict, why } = worker.examine(this.#options.limits.heartbeatMs)
    this.#log.warn({ ...this.#describe(id), verdict, why }, 'worker is silent')
    this.#apply({ type: 'examined', id, wedged: verdict === 'wedged' })
    if (verdict === 'wedged') void this.#openBlackBox(worker, why)
  }

  async #openBlackBox(worker: WorkerProcess, why: string): Promise<void> {
    const { file, fault, ...box } = await keepBlackBox(worker, this.#options.runDir)
    this.#log.error({ ...this.#describe(worker.id), why, ...box, file, err: fault }, 'worker hangs')
    this.#note('hangs', worker.id, why, { blackBox: file, at: box.stack[0], requests: box.inFlight })
    this.dispatch({ type: 'hung', id: worker.id, why })
  }

  #gone(worker: WorkerProcess, code: number | null, { how, reason }: Death): void {
    const { id, pid, slot } = worker
    const described = this.#describe(id)
    const expected = described.status === 'draining' && code === 0
    this.#log[expected ? 'info' : 'error']({ ...described, how }, 'worker is gone')
    this.#note('gone', id, how)
    if (pid) this.#options.onPid(pid, false)
    this.#options.watch(worker, false)
    this.#workers.delete(id)
    this.counts.ended(id, slot)
    if (code === EXIT_CONFIG) this.#apply({ type: 'boot-failed', id, why: `worker ${slot} cannot boot` })
    this.#apply({ type: 'exit', id, how, random: Math.random(), oom: reason === 'oom' })
    this.dispatcher.gone(id)
    this.reconcile()
  }

  #beginRoll(generation: number): void {
    const begun = this.#rolls.begin(generation, this.#state.generation, this.now())
    this.#log.info({ generation, ...begun }, 'rolling restart begins')
    this.emit('journal', { event: 'reload begins', generation, ...begun })
    if (begun.why !== undefined) this.#apply({ type: 'roll-failed', why: begun.why })
  }

  #endRoll(action: Extract<Action, { type: 'end-roll' }>): void {
    const result = this.#rolls.end(action, this.now())
    this.#log[result.outcome === 'failed' ? 'error' : 'info'](result, `rolling restart ${result.outcome}`)
    const { ledger: _, ...entry } = result
    this.emit('journal', { event: `reload ${result.outcome}`, ...entry })
    this.#apply({ type: 'roll-ended' })
    this.emit('roll', result)
  }

  /** Every worker reads the service's state locally; it is told only what has changed. */
  #tellService(): void {
    const view = this.view()
    const text = JSON.stringify(view)
    if (text === this.#told) return
    this.#told = text
    for (const { channel } of this.#workers.values()) void channel.tell({ type: 'service', view })
    this.emit('change', view)
  }

  #note(event: string, id: number, why?: string, more: Record<string, unknown> = {}): void {
    const worker = find(this.#state, id)
    const about = worker && { slot: worker.slot, pid: worker.pid, generation: worker.generation }
    this.emit('journal', { event, ...about, ...(why !== undefined && { why }), ...more })
  }

  #describe(id: number) {
    const worker = find(this.#state, id)
    return { slot: worker?.slot, worker: worker?.pid, generation: worker?.generation, status: worker?.status }
  }
}
