import type { JournalEvent } from '../../admin/journal-file.ts'
import type { Logger } from '../../common/log.ts'
import type { Config } from '../../config/load.ts'
import { describeTrialEnd } from '../../verdict/describe-verdict.ts'
import type { TrialReport } from '../../verdict/trial-report.ts'
import type { ConnectionRouter } from '../listener/connection-router.ts'
import { isOnTrial, type OnTrial } from '../policy/reduce-trial.ts'
import type { Event, EventOf, State, Worker } from '../policy/types.ts'
import { serves } from '../policy/types.ts'
import type { Releases } from '../rollout/release.ts'
import type { WorkerPool } from '../workers/worker-pool.ts'
import { TrialFigures } from './trial-figures.ts'

export interface CanaryTrialsOptions {
  config: Pick<Config, 'canary' | 'scheduling'>
  pool: WorkerPool
  router: ConnectionRouter
  releases: Releases
  journal: (event: JournalEvent) => void
  log: Logger
  /** Feeds an event to the policy. */
  handle: (event: Event) => void
  /** The clock of the policy, in ms. */
  now: () => number
}

const LOOK_MS = 1000
/** At the start of a trial, old workers measure what is slow: for a tenth of its time, but within these limits. */
const BASELINE_MS = { least: 4000, most: 30_000, part: 0.1 }
/** If the canary would receive fewer connections, its trial would show nothing. */
const MIN_CONNECTIONS = 20

/** The rollout in progress. */
interface Current {
  generation: number
  startedAt: number
  /** New connections when it started. */
  connections: number
  figures: TrialFigures
  report: TrialReport | undefined
  /** Canary and control were told to measure. */
  measures: boolean
  /** The workers that were told that connections are assigned to them. */
  assigned: Set<number>
  /** The trial has begun at this time; undefined before. */
  trialAt: number | undefined
  canary: number
  control: number | undefined
}

/** Judges the first worker of each new release: gives it a share of the connections, and compares what workers measure. */
export class CanaryTrials {
  readonly #options: CanaryTrialsOptions
  #current: Current | undefined
  #timer: NodeJS.Timeout | undefined
  #state: State | undefined

  constructor(options: CanaryTrialsOptions) {
    this.#options = options
    options.pool.on('measured', (worker, { baseline, measurement }) => {
      if (baseline) this.#current?.figures.addBaseline(worker, baseline)
      if (measurement) this.#current?.figures.addMeasurement(worker, measurement)
    })
  }

  /** The last trial, or the one that goes on; undefined before the first one. */
  get report(): TrialReport | undefined {
    return this.#current?.report
  }

  /** Does what a new state of the policy requires. @returns events that follow from it */
  follow(before: State, state: State): Event[] {
    this.#state = state
    const { rollout } = state
    if (rollout && rollout.generation !== before.rollout?.generation) this.#prepare(state)
    if (isOnTrial(state)) this.#followTrial(state)
    else if (isOnTrial(before)) this.#end(state)
    if (!rollout && before.rollout) this.#tellAll('stop')
    const begins = this.#beginsNow(before, state)
    return begins ? [begins] : []
  }

  /** The time of the trial is over. */
  undecided(): EventOf<'trial-ended'> {
    return { type: 'trial-ended', outcome: 'undecided', cause: this.#current?.figures.describe() ?? 'undecided' }
  }

  /** Old workers measure how fast they are, so that a trial knows what is slow. */
  #prepare({ rollout, workers }: State): void {
    const { config, router, now } = this.#options
    const { alpha, tolerance } = config.canary
    this.#current = {
      generation: rollout!.generation,
      startedAt: now(),
      connections: router.newConnections,
      figures: new TrialFigures({ alpha, tolerance }),
      report: undefined,
      measures: false,
      assigned: new Set(),
      trialAt: undefined,
      canary: 0,
      control: undefined
    }
    if (!this.#isWanted(rollout!.request)) return
    this.#measureBaseline(workers)
  }

  #measureBaseline(workers: readonly Worker[]): void {
    for (const { id } of workers.filter(serves)) {
      void this.#options.pool.get(id)?.channel.notify({ type: 'measure', step: 'baseline' })
    }
  }

  #isWanted({ verdict = true, forMs }: { verdict?: boolean | undefined; forMs?: number | undefined }): boolean {
    const { canary, scheduling } = this.#options.config
    return verdict && (forMs ?? canary.maxMs) > 0 && (scheduling === 'rr' || scheduling === 'sticky')
  }

  /** @returns the begin of a trial when the first worker of the new release has just become ready, if there is traffic */
  #beginsNow(before: State, state: State): EventOf<'trial-begins'> | undefined {
    const { rollout } = state
    if (!rollout || rollout.failure !== undefined || rollout.trial || rollout.verdict) return undefined
    if (!canaryOf(state) || canaryOf(before)) return undefined
    const { config, releases } = this.#options
    const share = rollout.request.share ?? config.canary.share
    const maxMs = rollout.request.forMs ?? config.canary.maxMs
    if (!this.#isWanted(rollout.request)) return undefined
    const isAsked = rollout.request.share !== undefined || rollout.request.forMs !== undefined
    const expected = this.#connectionsPerSecond() * share * (maxMs / 1000)
    if (!isAsked && expected < MIN_CONNECTIONS) {
      this.#current!.report = this.#noTrial(share, maxMs, expected)
      return undefined
    }
    const wantsControl = releases.isOnDisk(releases.of(state.generation))
    return { type: 'trial-begins', wantsControl, share, maxMs, undecided: config.canary.undecided }
  }

  #connectionsPerSecond(): number {
    const { startedAt, connections } = this.#current!
    const seconds = Math.max(this.#options.now() - startedAt, 1) / 1000
    return (this.#options.router.newConnections - connections) / seconds
  }

  #followTrial(state: OnTrial): void {
    const current = this.#current!
    const { trial, generation } = state.rollout
    const { startedAt, share, canary, control } = trial
    current.canary = canary
    current.control = control
    this.#options.router.trial = { canary, control, share: startedAt === undefined ? 0 : share, seed: generation }
    if (startedAt !== undefined && current.trialAt === undefined) this.#start(state, startedAt)
    if (startedAt !== undefined) this.#measureAll(state)
    this.#updateReport(state)
  }

  #start({ rollout, workers }: OnTrial, at: number): void {
    const { log, journal } = this.#options
    const { generation, trial } = rollout
    this.#current!.trialAt = at
    const fields = { generation, share: trial.share, ms: trial.maxMs, hasControl: trial.control !== undefined }
    log.info(fields, 'trial started')
    journal({ event: 'trial begins', ...fields })
    this.#current!.figures.clearBaselines()
    this.#measureBaseline(workers.filter(({ id }) => id !== trial.canary))
    this.#timer = setInterval(() => this.#look(), LOOK_MS)
  }

  /** Workers measure the connections that come from now on, and their requests as soon as it is known what is slow. */
  #measureAll(state: OnTrial): void {
    const current = this.#current!
    const { canary, control, startedAt, maxMs } = state.rollout.trial
    const { least, most, part } = BASELINE_MS
    const hasBaseline = this.#options.now() >= startedAt! + Math.min(Math.max(least, part * maxMs), most)
    const limits = control === undefined || !hasBaseline ? undefined : current.figures.limits(control)
    const starts = !current.measures && (control === undefined || limits !== undefined)
    current.measures ||= starts
    for (const { id } of state.workers.filter(serves)) {
      const channel = this.#options.pool.get(id)?.channel
      if (!channel) continue
      const isNew = !current.assigned.has(id)
      if (isNew) void channel.notify({ type: 'measure', step: 'assign' })
      current.assigned.add(id)
      if (!starts && !(isNew && current.measures)) continue
      const limitsOf = id === canary ? limits?.canary : limits?.control
      const isCompared = id === canary || id === control
      const perClient = this.#options.config.scheduling === 'sticky'
      void channel.notify({ type: 'measure', step: 'trial', perClient, ...(isCompared && { limits: limitsOf }) })
    }
  }

  #look(): void {
    const state = this.#state
    if (!state || !isOnTrial(state)) return
    this.#measureAll(state)
    const { canary, control, share } = state.rollout.trial
    const { figures } = this.#current!
    const { outcome } = figures.judge(canary, control, share)
    this.#updateReport(state)
    if (outcome !== 'undecided') this.#options.handle({ type: 'trial-ended', outcome, cause: figures.describe() })
  }

  #updateReport({ rollout: { trial } }: OnTrial): void {
    const current = this.#current!
    const { share, startedAt, held, maxMs } = trial
    const running = held ? 'held' : 'running'
    current.report = {
      ...this.#compared(share, maxMs),
      state: startedAt === undefined ? 'starting' : running
    }
  }

  #compared(share: number, maxMs: number): TrialReport {
    const { figures, canary, control, trialAt } = this.#current!
    const { outcome, measures, routes } = figures.verdict
    const seconds = trialAt === undefined ? 0 : Math.round((this.#options.now() - trialAt) / 100) / 10
    const sides = figures.sides(canary, control)
    return {
      state: 'ended',
      outcome,
      why: figures.describe(),
      share,
      seconds,
      maxSeconds: maxMs / 1000,
      ...sides,
      measures,
      routes
    }
  }

  #noTrial(share: number, maxMs: number, expected: number): TrialReport {
    const why = `too little traffic: about ${Math.round(expected)} new connections in ${maxMs / 1000} s would reach the new release, and ${MIN_CONNECTIONS} are needed`
    return { ...this.#compared(share, maxMs), state: 'none', why }
  }

  #end(state: State): void {
    const { router, journal, log } = this.#options
    clearInterval(this.#timer)
    router.trial = undefined
    this.#tellAll('stop')
    const { rollout } = state
    const { report, generation } = this.#current!
    if (!report) return
    const outcome = rollout?.verdict === 'promoted' ? 'promoted' : report.outcome
    const why = rollout?.failure ?? report.why
    this.#current!.report = { ...report, state: 'ended', outcome, why }
    const { seconds, canary, control, others } = report
    const fields = { generation, outcome, seconds, canary, control, others, why }
    log[rollout?.failure === undefined ? 'info' : 'error'](fields, 'trial ended')
    const details = { seconds, requests: canary.requests, why }
    journal({ event: 'trial ends', generation, why: describeTrialEnd(outcome, details) })
  }

  #tellAll(step: 'stop'): void {
    this.#options.pool.notifyAll({ type: 'measure', step })
  }
}

/** The first worker of the new release, if it serves. */
function canaryOf({ rollout, workers }: State): Worker | undefined {
  return workers.find((worker) => worker.generation === rollout?.generation && serves(worker))
}
