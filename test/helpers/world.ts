import { nextDeadline } from '../../src/primary/policy/plan.ts'
import type { Action, Worker } from '../../src/primary/policy/types.ts'
import type { Random } from './random.ts'
import { Rehearsal } from './rehearsal.ts'

/** How often what goes wrong goes wrong, from 0 to 1. */
export interface Weather {
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
export interface Watcher {
  action?(action: Action): void
  death?(worker: Worker): void
}

const BEAT_MS = 1000
/** Everything is switched on, at times that meet each other. */
const LIMITS = { heartbeatMs: 5000, canaryMs: 300, maxRequests: 1000, maxAgeMs: 600_000, slotAttempts: 1e9 }

export const CALM: Weather = {
  dieAtBoot: 0,
  sayCannotBoot: 0,
  hangAtBoot: 0,
  dieWhenReady: 0,
  hangInDrain: 0,
  fallSilent: 0,
  wearOut: 0
}

/** Workers as they behave: what is forked starts, becomes ready or does not, serves, dies, drains, hangs. */
export class World {
  readonly rehearsal: Rehearsal
  readonly random: Random
  weather = CALM
  /** Workers that said that they cannot boot and have not left yet. */
  readonly doomed = new Set<number>()
  readonly #agenda: { at: number; happen: () => void }[] = []
  readonly #killed = new Map<number, string>()
  readonly #watchers: Watcher[] = []

  constructor(workers: number, random: Random) {
    this.random = random
    this.rehearsal = new Rehearsal(workers, LIMITS)
    this.rehearsal.jitter = () => random.next()
    this.rehearsal.onAction = (action) => {
      for (const watcher of this.#watchers) watcher.action?.(action)
      this.#act(action)
    }
  }

  watch(watcher: Watcher): void {
    this.#watchers.push(watcher)
  }

  /** Goes on to whatever comes next: a happening, or a deadline of the plan. @returns false when nothing ever will */
  step(): boolean {
    this.#agenda.sort((a, b) => a.at - b.at)
    const next = this.#agenda[0]
    const wake = nextDeadline(this.rehearsal.state, this.rehearsal.limits, this.rehearsal.now)
    if (next === undefined && wake === undefined) return false
    this.rehearsal.now = Math.min(next?.at ?? Number.POSITIVE_INFINITY, wake ?? Number.POSITIVE_INFINITY)
    if (next && next.at <= this.rehearsal.now) {
      this.#agenda.shift()
      next.happen()
    }
    this.rehearsal.reconcile()
    return true
  }

  /** Goes on for so long. @param check is called after every step */
  runs(ms: number, check: () => void): void {
    for (const end = this.rehearsal.now + ms; this.rehearsal.now < end && this.step(); ) check()
  }

  #act(action: Action): void {
    if (action.type === 'fork') this.#boot(this.rehearsal.lastId + 1)
    else if (action.type === 'kill') {
      this.#killed.set(action.id, action.why)
      this.#later(this.random.between(1, 20), () => this.#exit(action.id, 'SIGKILL'))
    } else if (action.type === 'examine' && this.rehearsal.wedged.has(action.id)) {
      this.#later(this.random.between(0, 1500), () =>
        this.rehearsal.happens({ type: 'hung', id: action.id, why: 'an endless loop' })
      )
    } else if (action.type === 'drain' && !this.random.chance(this.weather.hangInDrain)) {
      this.#later(this.random.between(0, 1500), () => this.#exit(action.id, 'exit code 0'))
    }
  }

  #boot(id: number): void {
    const { dieAtBoot, sayCannotBoot, hangAtBoot, dieWhenReady } = this.weather
    if (this.random.chance(hangAtBoot)) return
    this.#later(this.random.between(10, 990), () => {
      if (this.#killed.has(id)) return
      if (this.random.chance(dieAtBoot)) return this.#exit(id, 'SIGSEGV')
      if (this.random.chance(sayCannotBoot)) {
        this.doomed.add(id)
        this.rehearsal.happens({ type: 'boot-failed', id, why: 'a bad release' })
        return this.#later(this.random.between(0, 30), () => this.#exit(id, 'exit code 78'))
      }
      this.rehearsal.happens({ type: 'ready', id })
      this.#beat(id)
      if (this.random.chance(dieWhenReady)) {
        this.#later(this.random.between(0, 15_000), () => this.#exit(id, 'SIGSEGV'))
      }
    })
  }

  #beat(id: number): void {
    const { fallSilent, wearOut } = this.weather
    this.#later(BEAT_MS, () => {
      if (this.rehearsal.state.workers.every((worker) => worker.id !== id || worker.status !== 'ready')) return
      if (this.random.chance(fallSilent / 50)) {
        if (this.random.chance(0.5)) this.rehearsal.wedged.add(id)
        return this.#later(this.random.between(0, 20_000), () => this.#beat(id))
      }
      const requests = this.random.chance(wearOut / 50) ? 2000 : 0
      this.rehearsal.happens({ type: 'beat', id, requests, rssBytes: 0 })
      this.#beat(id)
    })
  }

  #exit(id: number, how: string): void {
    const worker = this.rehearsal.state.workers.find((one) => one.id === id)
    if (!worker) return
    const why = this.#killed.get(id)
    if (worker.status !== 'draining' && (why === undefined || /^not ready|^an endless loop/.test(why))) {
      for (const watcher of this.#watchers) watcher.death?.(worker)
    }
    this.doomed.delete(id)
    this.rehearsal.happens({ type: 'exit', id, how, random: this.random.next() })
  }

  #later(ms: number, happen: () => void): void {
    this.#agenda.push({ at: this.rehearsal.now + ms, happen })
  }
}
