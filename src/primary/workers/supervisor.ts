import { EventEmitter } from 'node:events'
import type { JournalEvent } from '../../admin/journal-file.ts'
import type { Logger } from '../../common/log.ts'
import type { DrainStats, ServiceView } from '../../ipc/messages.ts'
import { StallAwareClock } from '../health/stall-aware-clock.ts'
import type { InternalErrors } from '../internal-errors.ts'
import type { ClientAddresses } from '../listener/client-address.ts'
import { ConnectionRouter } from '../listener/connection-router.ts'
import type { Port } from '../listener/port.ts'
import { nextDeadline, plan } from '../policy/plan.ts'
import { reduce } from '../policy/reduce.ts'
import { type Action, type Event, initialState, isDegraded, type Limits, type State, serves } from '../policy/types.ts'
import type { Releases } from '../rollout/release.ts'
import { Rollout, type RolloutOutcome } from '../rollout/rollout.ts'
import { WorkerPool, type WorkerPoolOptions } from './worker-pool.ts'
import type { WorkerProcess } from './worker-process.ts'

export interface SupervisorOptions extends WorkerPoolOptions {
  workers: number
  limits: Limits
  releases: Releases
  /** Where each client is to get the same worker every time. */
  clients?: ClientAddresses | undefined
  errors: InternalErrors
}

/** Code that is no longer what it was is left alone until it has not changed for so long. */
const SETTLE_MS = 1000
/** After an exception, the state is looked at again in so many ms. */
const RETRY_MS = 1000
const LONGEST_TIMER_MS = 2 ** 31 - 1

/**
 * Has done what {@link plan} decides, by its {@link WorkerPool}. Whatever happens becomes an event and ends in `reconcile`.
 * Emits `exit` once, when the service has ended, `roll` when a rolling restart has, `drained` with the statistics of every
 * worker that leaves in order, `change` when the service is no longer as it was told, `reconciled` whenever the state
 * may be another, and `journal` for whatever happens to a worker, with its reason. An exception in any of this is logged
 * and counted, and what it kept from being done is tried again: neither `dispatch` nor `reconcile` ever throws.
 */
export class Supervisor extends EventEmitter<{
  exit: [code: Extract<Action, { type: 'exit' }>['code'], why: string]
  roll: [RolloutOutcome]
  drained: [DrainStats]
  change: [ServiceView]
  reconciled: []
  journal: [JournalEvent]
}> {
  /** Its worker processes. */
  readonly pool: WorkerPool
  readonly router: ConnectionRouter
  /** What workers that accept by themselves are given. */
  port: Port | undefined
  adminPort: Port | undefined
  readonly #options: SupervisorOptions
  readonly #log: Logger
  readonly #clock: StallAwareClock
  readonly #rollout: Rollout
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
    this.#clock = new StallAwareClock((ms) => this.#log.warn({ ms: Math.round(ms) }, 'the primary itself stood still'))
    this.#state = initialState(options.workers)
    this.#rollout = new Rollout(options.releases, options.certificates)
    this.on('drained', (stats) => this.#rollout.add(stats))
    options.releases.take(this.#state.generation)
    this.pool = new WorkerPool(this, options)
    this.router = new ConnectionRouter(() => this.#targets, options.log, options.clients)
  }

  get state(): State {
    return this.#state
  }

  /** When a worker entered its status, and for how long ago that is, are on this clock; in ms. */
  now(): number {
    return this.#clock.now()
  }

  /** Makes events part of the state and does what follows; in the middle of `reconcile`, that goes on with it. */
  dispatch(...events: Event[]): void {
    const { errors } = this.#options
    for (const event of events) errors.survive('event', () => this.#apply(event), { event: event.type })
    this.reconcile()
  }

  /** Does what the state asks for, until nothing is left to do; then sleeps until a deadline of it. */
  reconcile(): void {
    if (this.#reconciling || this.#ended) return
    const { errors } = this.#options
    this.#reconciling = true
    let deadline: number | undefined
    try {
      deadline = this.#settle()
    } catch (error) {
      errors.caught('plan', error)
      deadline = this.now() + RETRY_MS
    } finally {
      this.#reconciling = false
    }
    errors.survive('listener', () => this.publishView())
    errors.survive('listener', () => this.emit('reconciled'))
    clearTimeout(this.#wake)
    if (deadline === undefined || this.#ended) return
    const ms = Math.min(Math.max(1, deadline - this.now()), LONGEST_TIMER_MS)
    this.#wake = setTimeout(() => this.reconcile(), ms)
  }

  /** Plans and performs until nothing is left to do. @returns when to look again, in ms of `now()`; undefined: never */
  #settle(): number | undefined {
    const { limits, errors } = this.#options
    for (;;) {
      const time = this.now()
      const actions = plan(this.#state, limits, time)
      // Of the same moment as the last plan: a deadline between two moments would be in neither.
      if (actions.length === 0 || this.#ended) return nextDeadline(this.#state, limits, time)
      let failed = false
      for (const action of actions) {
        try {
          this.#perform(action)
        } catch (error) {
          errors.caught('action', error, { action })
          failed = true
        }
      }
      // The same plan would follow at once.
      if (failed) return this.now() + RETRY_MS
    }
  }

  /** What everyone may know of the service. */
  view(): ServiceView {
    const { phase, rollout, everReady, desired, workers } = this.#state
    const ready = workers.filter(serves)
    const running = rollout ? 'reloading' : isDegraded(this.#state, this.#options.limits) ? 'degraded' : 'running'
    return {
      state: phase !== 'running' ? 'draining' : everReady ? running : 'starting',
      desired,
      workers: workers.map(({ slot, pid, generation, status }) => ({ slot, pid, generation, status })),
      redis: ready.length > 0 && ready.every((worker) => this.pool.of(worker.id)?.redisUp === true)
    }
  }

  /** Every worker reads the service's state locally; it is told only what has changed. */
  publishView(): void {
    const view = this.view()
    const text = JSON.stringify(view)
    if (text === this.#told) return
    this.#told = text
    this.pool.tell({ type: 'service', view })
    this.emit('change', view)
  }

  /** Accepts no more; resolves when every connection that was accepted here is at a worker. */
  async closePort(): Promise<void> {
    await Promise.all([this.port?.close(), this.adminPort?.close()])
    await this.router.settled()
  }

  #apply(event: Event): void {
    const before = this.#state
    this.#state = reduce(before, event, this.now(), this.#options.limits)
    if (this.#state === before) return
    this.#targets = this.#state.workers.filter(serves).flatMap(({ id }) => this.pool.of(id) ?? [])
    this.router.flush()
    if (event.type === 'exit') this.router.workerExited(event.id)
    const { rollout, generation } = this.#state
    if (rollout && rollout.generation !== before.rollout?.generation) this.#beginRoll(rollout.generation)
    if (rollout?.failure !== undefined && before.rollout?.failure === undefined) {
      this.#log.error({ generation: rollout.generation, why: rollout.failure }, 'the new release fails: going back')
      if (!this.#options.releases.isOnDisk(this.#options.releases.of(generation))) this.#releaseGone()
    }
  }

  #perform(action: Action): void {
    switch (action.type) {
      case 'fork':
        this.#fork(action)
        return
      case 'drain':
        this.pool.drain(action)
        return
      case 'examine':
        this.pool.examine(action.id)
        return
      case 'kill':
        this.pool.kill(action)
        return
      case 'end-roll':
        this.#endRoll(action)
        return
      case 'exit':
        this.#ended = true
        this.router.giveUp()
        this.emit('exit', action.code, action.why)
        return
    }
  }

  /** A fork that throws has failed: its slot is tried again with a pause, and a reload goes back. */
  #fork(action: Extract<Action, { type: 'fork' }>): void {
    const { slot, generation } = action
    try {
      if (this.#mayFork(slot, generation)) this.pool.fork(action, this.#options.releases.of(generation))
    } catch (error) {
      this.#options.errors.caught('fork', error, { slot, generation })
      const how = (error as Error).message
      this.#apply({ type: 'fork-failed', slot, generation, how, random: Math.random() })
      this.emit('journal', { event: 'not forked', slot, generation, why: how })
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

  #beginRoll(generation: number): void {
    const begun = this.#rollout.begin(generation, this.#state.generation, this.now())
    this.#log.info({ generation, ...begun }, 'rolling restart begins')
    this.emit('journal', { event: 'reload begins', generation, ...begun })
    if (begun.why !== undefined) this.#apply({ type: 'roll-failed', why: begun.why })
  }

  #endRoll(action: Extract<Action, { type: 'end-roll' }>): void {
    const result = this.#rollout.end(action, this.now())
    this.#log[result.outcome === 'failed' ? 'error' : 'info'](result, `rolling restart ${result.outcome}`)
    const { connections: _, ...entry } = result
    this.emit('journal', { event: `reload ${result.outcome}`, ...entry })
    this.#apply({ type: 'roll-ended' })
    this.emit('roll', result)
  }
}
