import { EventEmitter } from 'node:events'
import type { JournalEvent } from '../../admin/journal-file.ts'
import type { Logger } from '../../common/log.ts'
import type { Config } from '../../config/load.ts'
import type { ServiceView } from '../../ipc/messages.ts'
import { StallAwareClock } from '../health/stall-aware-clock.ts'
import type { InternalErrors } from '../internal-errors.ts'
import type { ConnectionRouter } from '../listener/connection-router.ts'
import type { ListeningPorts } from '../listener/listening-ports.ts'
import type { RoutingTarget } from '../listener/routed-connection.ts'
import { nextDeadline, plan } from '../policy/plan.ts'
import type { Limits } from '../policy/policy-limits.ts'
import { reduce } from '../policy/reduce.ts'
import { serviceView } from '../policy/service-view.ts'
import {
  type Action,
  type ActionOf,
  type Event,
  findWorker,
  initialState,
  type Share,
  type State,
  serves
} from '../policy/types.ts'
import type { Releases } from '../rollout/release.ts'
import { ReleaseGuard } from '../rollout/release-guard.ts'
import type { Rollout } from '../rollout/rollout.ts'
import { CanaryTrials } from '../trial/canary-trials.ts'
import type { SupervisorEvents } from './supervisor-events.ts'
import { forkFailed, type WorkerPool } from './worker-pool.ts'

export interface SupervisorOptions {
  /** Number of workers wanted at the start. */
  workers: number
  /** The first generation. */
  generation: number
  /** Set when another primary is in charge at the start. */
  share?: Share | undefined
  limits: Limits
  pool: WorkerPool
  router: ConnectionRouter
  ports: Pick<ListeningPorts, 'close'>
  releases: Releases
  rollout: Rollout
  /** How the first worker of a new release is judged. */
  canary: Pick<Config, 'canary' | 'scheduling'>
  journal: (event: JournalEvent) => void
  errors: InternalErrors
  log: Logger
}

/** After an exception, the state is examined again in this many ms. */
const RETRY_MS = 1000
const MAX_TIMER_MS = 2 ** 31 - 1

/**
 * Keeps the wanted workers alive. Every event goes through one loop: it is queued, reduced to a new state, and the planned
 * actions are executed until none is left. An exception in any step is logged, counted and survived; what it prevented is
 * tried again. `handle` and `reconcile` never throw.
 */
export class Supervisor extends EventEmitter<SupervisorEvents> {
  readonly pool: WorkerPool
  readonly router: ConnectionRouter
  readonly #options: SupervisorOptions
  readonly #log: Logger
  readonly #clock: StallAwareClock
  readonly #releaseGuard: ReleaseGuard
  readonly trials: CanaryTrials
  readonly #queue: Event[] = []
  #state: State
  #wake: NodeJS.Timeout | undefined
  #running = false
  #ended = false
  #publishedView = ''
  #remoteTargets: readonly RoutingTarget[] = []

  constructor(options: SupervisorOptions) {
    super()
    // Every command that waits for a state adds a listener.
    this.setMaxListeners(0)
    const { pool, router, releases, journal, log } = options
    this.pool = pool
    this.router = router
    this.#options = options
    this.#log = log
    this.#clock = new StallAwareClock((ms) => log.warn({ ms: Math.round(ms) }, 'primary stalled'))
    this.#state = initialState(options.workers, options.generation, options.share)
    this.#releaseGuard = new ReleaseGuard(releases, journal, log)
    this.trials = new CanaryTrials({
      config: options.canary,
      ...{ pool, router, releases, journal, log },
      handle: (event) => this.handle(event),
      now: () => this.now()
    })
    releases.take(this.#state.generation)
    this.#listenToPool()
  }

  /** Sets the workers of another primary that can take connections. */
  setRemoteTargets(targets: readonly RoutingTarget[]): void {
    this.#remoteTargets = targets
    this.#setTargets()
  }

  get state(): State {
    return this.#state
  }

  /** The clock of all times in the state, in ms. It stops while this process does not run. */
  now(): number {
    return this.#clock.now()
  }

  /** Queues events and does what follows from them. Inside of the loop, the loop goes on with them. */
  handle(...events: Event[]): void {
    if (this.#ended) return
    this.#queue.push(...events)
    if (this.#running) return
    const { errors } = this.#options
    let deadline: number | undefined
    this.#running = true
    try {
      deadline = this.#run()
    } catch (error) {
      errors.caught('plan', error)
      deadline = this.now() + RETRY_MS
    } finally {
      this.#running = false
    }
    errors.survive('listener', () => this.publishView())
    errors.survive('listener', () => this.emit('reconciled'))
    this.#sleepUntil(deadline)
  }

  /** Does what the state requires, without a new event. */
  reconcile(): void {
    this.handle()
  }

  view(): ServiceView {
    return serviceView(this.#state, this.#options.limits, (id) => this.pool.get(id)?.redisUp === true)
  }

  /** Sends the view to every worker if it has changed. Workers answer questions about the service from their copy. */
  publishView(): void {
    const view = this.view()
    const text = JSON.stringify(view)
    if (text === this.#publishedView) return
    this.#publishedView = text
    this.pool.notifyAll({ type: 'service', view })
    this.emit('change', view)
  }

  /** Stops accepting. Resolves when every connection that the primary accepted is at a worker. */
  async closePort(): Promise<void> {
    await this.#options.ports.close()
    await this.router.settled()
  }

  #listenToPool(): void {
    const { pool, router } = this
    const { errors, rollout } = this.#options
    pool.on('event', (event) => this.handle(event))
    pool.on('settled', (report, worker) => rollout.lingers(worker, report))
    pool.on('drained', (report, worker) => rollout.add(worker, report))
    pool.on('redis', () => errors.survive('listener', () => this.publishView()))
    pool.on('room', () => errors.survive('event', () => router.flush()))
    pool.on('accepted', (connection, worker) => errors.survive('event', () => router.accepted(connection, worker)))
    pool.on('transfer', (transfer, done) => errors.survive('event', () => router.transfer(transfer, done)))
  }

  /** @returns when to run again, on the clock of `now()`; undefined: at the next event */
  #run(): number | undefined {
    const { limits, errors } = this.#options
    for (;;) {
      this.#reduceQueue()
      const time = this.now()
      const actions = plan(this.#state, limits, time)
      // The deadline belongs to the moment of the plan. Computed later, it would miss what became due in between.
      if (actions.length === 0 || this.#ended) return nextDeadline(this.#state, limits, time)
      let failed = false
      for (const action of actions) {
        try {
          this.#execute(action)
        } catch (error) {
          errors.caught('action', error, { action })
          failed = true
        }
        this.#reduceQueue()
      }
      // Without a pause, the same plan would follow at once.
      if (failed) return this.now() + RETRY_MS
    }
  }

  #reduceQueue(): void {
    for (let event = this.#queue.shift(); event; event = this.#queue.shift()) {
      const current = event
      this.#options.errors.survive('event', () => this.#reduce(current), { event: current.type })
    }
  }

  #reduce(event: Event): void {
    const before = this.#state
    this.#state = reduce(before, event, this.now(), this.#options.limits)
    if (this.#state === before) return
    this.router.takesTransfers = this.#state.phase !== 'draining'
    this.#setTargets()
    if (event.type === 'exit') this.router.workerExited(event.id)
    this.#followRollout(before)
    this.#queue.push(...this.trials.follow(before, this.#state))
  }

  #setTargets(): void {
    const own = this.#state.workers.filter(serves).flatMap(({ id }) => this.pool.get(id) ?? [])
    this.router.setTargets([...own, ...this.#remoteTargets])
  }

  #followRollout(before: State): void {
    const { rollout, generation } = this.#state
    if (!rollout) return
    if (rollout.generation !== before.rollout?.generation) {
      const cause = this.#options.rollout.begin(rollout.generation, generation, this.now())
      if (cause !== undefined) this.#queue.push({ type: 'rollout-failed', cause })
    }
    if (rollout.failure !== undefined && before.rollout?.failure === undefined) {
      this.#log.error({ generation: rollout.generation, why: rollout.failure }, 'rolling back')
      this.#queue.push(...this.#releaseGuard.checkRollback(this.#state))
    }
  }

  #execute(action: Action): void {
    switch (action.type) {
      case 'fork':
        this.#fork(action)
        return
      case 'drain':
        this.pool.drain(action, findWorker(this.#state, action.id)?.snapshot)
        return
      case 'finish':
        this.pool.finish(action)
        return
      case 'examine':
        this.pool.examine(action.id)
        return
      case 'end-trial':
        this.#queue.push(this.trials.undecided())
        return
      case 'kill':
        this.pool.kill(action)
        return
      case 'end-rollout':
        this.#endRollout(action)
        return
      case 'exit':
        this.#ended = true
        this.router.giveUp()
        this.emit('exit', action.code, action.cause)
    }
  }

  /** A fork that throws has failed: its slot is tried again after a pause, and a rollout is rolled back. */
  #fork(action: ActionOf<'fork'>): void {
    const { releases, errors, journal } = this.#options
    const { slot, generation } = action
    try {
      const { mayFork, events } = this.#releaseGuard.check(action, this.#state)
      this.#queue.push(...events)
      if (mayFork) this.pool.fork(action, releases.of(generation))
    } catch (error) {
      errors.caught('fork', error, { slot, generation })
      const { message } = error as Error
      journal({ event: 'not forked', slot, generation, why: message })
      this.#queue.push(forkFailed(action, message))
    }
  }

  #endRollout(action: ActionOf<'end-rollout'>): void {
    const outcome = this.#options.rollout.end(action, this.now(), this.trials.report)
    this.#queue.push({ type: 'rollout-ended' })
    // Listeners read the state after the rollout.
    this.#reduceQueue()
    this.emit('rollout', outcome)
  }

  #sleepUntil(deadline: number | undefined): void {
    clearTimeout(this.#wake)
    if (deadline === undefined || this.#ended) return
    const ms = Math.min(Math.max(1, deadline - this.now()), MAX_TIMER_MS)
    this.#wake = setTimeout(() => this.reconcile(), ms)
  }
}
