import { nextDeadline } from '../../src/primary/policy/plan.ts'
import type { Action, Worker } from '../../src/primary/policy/types.ts'
import { Scenario } from './policy-scenario.ts'
import type { Random } from './random.ts'

/** How often what goes wrong goes wrong, from 0 to 1. */
export interface FaultRates {
  dieAtBoot: number
  sayCannotBoot: number
  hangAtBoot: number
  dieWhenReady: number
  hangInDrain: number
  /** No heartbeat comes any more; whether it hangs is found when it is looked at. */
  fallSilent: number
  /** A heartbeat says that it has had its requests. */
  wearOut: number
}

/** Told of what is done before it is, and of workers that die without having been told to leave. */
export interface SimulationListener {
  action?(action: Action): void
  death?(worker: Worker): void
}

const HEARTBEAT_MS = 1000
/** Everything is switched on, at times that meet each other. */
const LIMITS = { heartbeatMs: 5000, canaryMs: 300, maxRequests: 1000, maxAgeMs: 600_000, slotAttempts: 1e9 }

export const NO_FAULTS: FaultRates = {
  dieAtBoot: 0,
  sayCannotBoot: 0,
  hangAtBoot: 0,
  dieWhenReady: 0,
  hangInDrain: 0,
  fallSilent: 0,
  wearOut: 0
}

/** Workers as they behave: what is forked starts, becomes ready or does not, serves, dies, drains, hangs. */
export class Simulation {
  readonly scenario: Scenario
  readonly random: Random
  faultRates = NO_FAULTS
  /** Workers that said that they cannot boot and have not left yet. */
  readonly bootFailures = new Set<number>()
  readonly #timers: { at: number; happen: () => void }[] = []
  readonly #killed = new Map<number, string>()
  readonly #listeners: SimulationListener[] = []

  constructor(workers: number, random: Random) {
    this.random = random
    this.scenario = new Scenario(workers, LIMITS)
    this.scenario.jitter = () => random.next()
    this.scenario.onAction = (action) => {
      for (const listener of this.#listeners) listener.action?.(action)
      this.#act(action)
    }
  }

  listen(listener: SimulationListener): void {
    this.#listeners.push(listener)
  }

  /** Goes on to whatever comes next: a happening, or a deadline of the plan. @returns false when nothing ever will */
  step(): boolean {
    this.#timers.sort((a, b) => a.at - b.at)
    const next = this.#timers[0]
    const wake = nextDeadline(this.scenario.state, this.scenario.limits, this.scenario.now)
    if (next === undefined && wake === undefined) return false
    this.scenario.now = Math.min(next?.at ?? Number.POSITIVE_INFINITY, wake ?? Number.POSITIVE_INFINITY)
    if (next && next.at <= this.scenario.now) {
      this.#timers.shift()
      next.happen()
    }
    this.scenario.reconcile()
    return true
  }

  /** Goes on for so long. @param check is called after every step */
  runs(ms: number, check: () => void): void {
    for (const end = this.scenario.now + ms; this.scenario.now < end && this.step(); ) check()
  }

  #act(action: Action): void {
    if (action.type === 'fork') this.#boot(this.scenario.lastId + 1)
    else if (action.type === 'kill') {
      this.#killed.set(action.id, action.cause)
      this.#later(this.random.between(1, 20), () => this.#exit(action.id, 'SIGKILL'))
    } else if (action.type === 'examine' && this.scenario.hung.has(action.id)) {
      this.#later(this.random.between(0, 1500), () =>
        this.scenario.happens({ type: 'hang-reported', id: action.id, cause: 'an endless loop' })
      )
    } else if (action.type === 'drain' && !this.random.chance(this.faultRates.hangInDrain)) {
      this.#later(this.random.between(0, 1500), () => this.#exit(action.id, 'exit code 0'))
    }
  }

  #boot(id: number): void {
    const { dieAtBoot, sayCannotBoot, hangAtBoot, dieWhenReady } = this.faultRates
    if (this.random.chance(hangAtBoot)) return
    this.#later(this.random.between(10, 990), () => {
      if (this.#killed.has(id)) return
      if (this.random.chance(dieAtBoot)) return this.#exit(id, 'SIGSEGV')
      if (this.random.chance(sayCannotBoot)) {
        this.bootFailures.add(id)
        this.scenario.happens({ type: 'boot-failed', id, cause: 'a bad release' })
        return this.#later(this.random.between(0, 30), () => this.#exit(id, 'exit code 78'))
      }
      this.scenario.happens({ type: 'ready', id })
      this.#heartbeat(id)
      if (this.random.chance(dieWhenReady)) {
        this.#later(this.random.between(0, 15_000), () => this.#exit(id, 'SIGSEGV'))
      }
    })
  }

  #heartbeat(id: number): void {
    const { fallSilent, wearOut } = this.faultRates
    this.#later(HEARTBEAT_MS, () => {
      if (this.scenario.state.workers.every((worker) => worker.id !== id || worker.status !== 'ready')) return
      if (this.random.chance(fallSilent / 50)) {
        if (this.random.chance(0.5)) this.scenario.hung.add(id)
        return this.#later(this.random.between(0, 20_000), () => this.#heartbeat(id))
      }
      const requests = this.random.chance(wearOut / 50) ? 2000 : 0
      this.scenario.happens({ type: 'heartbeat', id, requests, rssBytes: 0 })
      this.#heartbeat(id)
    })
  }

  #exit(id: number, cause: string): void {
    const worker = this.scenario.state.workers.find((one) => one.id === id)
    if (!worker) return
    const why = this.#killed.get(id)
    if (worker.status !== 'draining' && (why === undefined || /^not ready|^an endless loop/.test(why))) {
      for (const listener of this.#listeners) listener.death?.(worker)
    }
    this.bootFailures.delete(id)
    this.scenario.happens({ type: 'exit', id, cause, random: this.random.next() })
  }

  #later(ms: number, happen: () => void): void {
    this.#timers.push({ at: this.scenario.now + ms, happen })
  }
}
