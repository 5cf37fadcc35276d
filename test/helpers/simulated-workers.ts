import { nextDeadline } from '../../src/primary/policy/plan.ts'
import { UNDECIDED_CHOICES } from '../../src/primary/policy/trial-types.ts'
import type { Action, Worker } from '../../src/primary/policy/types.ts'
import { Scenario } from './policy-scenario.ts'
import type { Random } from './random.ts'

/** Probabilities of faults, from 0 to 1. */
export interface FaultRates {
  dieAtBoot: number
  sayCannotBoot: number
  hangAtBoot: number
  dieWhenReady: number
  hangInDrain: number
  /** A draining worker reports that only busy connections are left, and stays for them. */
  linger: number
  /** A lingering worker crashes. */
  dieLingering: number
  /** Heartbeats stop. The worker hangs, or is starved of CPU. */
  fallSilent: number
  /** A heartbeat reports more requests than allowed. */
  wearOut: number
}

/** Called before each action, and when a worker exits without having been told to. */
export interface SimulationListener {
  action?(action: Action): void
  crashed?(worker: Worker): void
}

const HEARTBEAT_MS = 1000
/** All limits are active, and their deadlines interfere. */
const LIMITS = {
  heartbeatMs: 5000,
  canaryMs: 300,
  maxRequests: 1000,
  maxAgeMs: 600_000,
  slotAttempts: 1e9,
  surgeBytes: 900,
  maxLingeringBytes: 300
}

export const NO_FAULTS: FaultRates = {
  dieAtBoot: 0,
  sayCannotBoot: 0,
  hangAtBoot: 0,
  dieWhenReady: 0,
  hangInDrain: 0,
  linger: 0,
  dieLingering: 0,
  fallSilent: 0,
  wearOut: 0
}

/** Simulates workers: they start, become ready or fail to, serve, crash, hang and drain. */
export class Simulation {
  readonly scenario: Scenario
  readonly random: Random
  faultRates = NO_FAULTS
  /** Workers that reported that they cannot boot and have not exited yet. */
  readonly bootFailures = new Set<number>()
  readonly #timers: { at: number; run: () => void }[] = []
  /** Lingering workers that end only when they are killed. */
  readonly #late = new Set<number>()
  readonly #killed = new Map<number, string>()
  readonly #listeners: SimulationListener[] = []

  /** @param surge the number of slots that a rollout may replace at a time */
  constructor(workers: number, random: Random, surge = 1) {
    this.random = random
    this.scenario = new Scenario(workers, { ...LIMITS, surge })
    this.scenario.jitter = () => random.next()
    this.scenario.onAction = (action) => {
      for (const listener of this.#listeners) listener.action?.(action)
      this.#act(action)
    }
  }

  listen(listener: SimulationListener): void {
    this.#listeners.push(listener)
  }

  /** Advances to the next event or deadline. @returns false when there is none */
  step(): boolean {
    this.#timers.sort((a, b) => a.at - b.at)
    const next = this.#timers[0]
    const wake = nextDeadline(this.scenario.state, this.scenario.limits, this.scenario.now)
    if (next === undefined && wake === undefined) return false
    this.scenario.now = Math.min(next?.at ?? Number.POSITIVE_INFINITY, wake ?? Number.POSITIVE_INFINITY)
    if (next && next.at <= this.scenario.now) {
      this.#timers.shift()
      next.run()
    }
    this.scenario.reconcile()
    return true
  }

  /** Runs for `ms` of simulated time. @param check called after every step */
  run(ms: number, check: () => void): void {
    for (const end = this.scenario.now + ms; this.scenario.now < end && this.step(); ) check()
  }

  #act(action: Action): void {
    if (action.type === 'fork') this.#boot(this.scenario.lastId + 1)
    else if (action.type === 'kill') {
      this.#killed.set(action.id, action.cause)
      this.#later(this.random.between(1, 20), () => this.#exit(action.id, 'SIGKILL'))
    } else if (action.type === 'examine' && this.scenario.hung.has(action.id)) {
      this.#later(this.random.between(0, 1500), () =>
        this.scenario.handle({ type: 'hang-reported', id: action.id, cause: 'an endless loop' })
      )
    } else if (action.type === 'drain' && !this.random.chance(this.faultRates.hangInDrain)) {
      if (action.transfer && this.random.chance(this.faultRates.linger)) this.#linger(action.id)
      else this.#later(this.random.between(0, 1500), () => this.#exit(action.id, 'exit code 0'))
    } else if (action.type === 'finish' && !this.#late.has(action.id)) {
      this.#later(action.deadlineMs + this.random.between(0, 400), () => this.#exit(action.id, 'exit code 0'))
    }
  }

  /** Settles, and stays for up to as long as is allowed, or longer. */
  #linger(id: number): void {
    const { dieLingering, hangInDrain } = this.faultRates
    if (this.random.chance(hangInDrain)) this.#late.add(id)
    this.#later(this.random.between(500, 1500), () => {
      this.scenario.handle({ type: 'settled', id })
      const crashes = this.random.chance(dieLingering)
      this.#later(this.random.between(0, 60_000), () => {
        if (crashes) this.#exit(id, 'SIGSEGV')
        else if (!this.#late.has(id)) this.#leave(id)
      })
    })
  }

  #leave(id: number): void {
    this.scenario.handle({ type: 'drained', id })
    this.#later(this.random.between(0, 1500), () => this.#exit(id, 'exit code 0'))
  }

  #boot(id: number): void {
    const { dieAtBoot, sayCannotBoot, hangAtBoot, dieWhenReady } = this.faultRates
    if (this.random.chance(hangAtBoot)) return
    this.#later(this.random.between(10, 990), () => {
      if (this.#killed.has(id)) return
      if (this.random.chance(dieAtBoot)) return this.#exit(id, 'SIGSEGV')
      if (this.random.chance(sayCannotBoot)) {
        this.bootFailures.add(id)
        this.scenario.handle({ type: 'boot-failed', id, cause: 'a bad release' })
        return this.#later(this.random.between(0, 30), () => this.#exit(id, 'exit code 78'))
      }
      this.scenario.handle({ type: 'ready', id })
      this.#heartbeat(id)
      this.#judge()
      if (this.random.chance(dieWhenReady)) {
        this.#later(this.random.between(0, 15_000), () => this.#exit(id, 'SIGSEGV'))
      }
    })
  }

  /** Begins a trial if there is a canary, and ends it in any way. */
  #judge(): void {
    if (this.random.chance(0.3)) return
    const wantsControl = this.random.chance(0.7)
    const undecided = UNDECIDED_CHOICES[this.random.between(0, 2)]!
    const maxMs = this.random.between(1000, 20_000)
    this.scenario.handle({ type: 'trial-begins', share: 0.05, maxMs, wantsControl, undecided })
    this.#later(this.random.between(0, 30_000), () => {
      const outcome = this.random.chance(0.5) ? 'no worse' : 'worse'
      if (this.random.chance(0.2)) this.scenario.handle({ type: 'promote' })
      else this.scenario.handle({ type: 'trial-ended', outcome, cause: 'a verdict' })
    })
  }

  #heartbeat(id: number): void {
    const { fallSilent, wearOut } = this.faultRates
    this.#later(HEARTBEAT_MS, () => {
      if (this.scenario.state.workers.every((worker) => worker.id !== id || worker.status === 'starting')) return
      if (this.random.chance(fallSilent / 50)) {
        if (this.random.chance(0.5)) this.scenario.hung.add(id)
        return this.#later(this.random.between(0, 20_000), () => this.#heartbeat(id))
      }
      const requests = this.random.chance(wearOut / 50) ? 2000 : 0
      this.scenario.handle({ type: 'heartbeat', id, requests, rssBytes: 100 })
      this.#heartbeat(id)
    })
  }

  #exit(id: number, cause: string): void {
    const worker = this.scenario.state.workers.find((one) => one.id === id)
    if (!worker) return
    const why = this.#killed.get(id)
    if (worker.status !== 'draining' && (why === undefined || /^not ready|^an endless loop/.test(why))) {
      for (const listener of this.#listeners) listener.crashed?.(worker)
    }
    this.bootFailures.delete(id)
    this.scenario.handle({ type: 'exit', id, cause, random: this.random.next() })
  }

  #later(ms: number, run: () => void): void {
    this.#timers.push({ at: this.scenario.now + ms, run })
  }
}
