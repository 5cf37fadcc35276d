// A service without processes: the supervisor's own rules (src/primary/policy) decide, and the workers are timers. The clock is
// that of the simulation, in ms.

import { nextDeadline, plan } from './policy/plan.js'
import { LIMITS } from './policy/policy-limits.js'
import { reduce } from './policy/reduce.js'
import { initialState, serves } from './policy/types.js'

const MAX_ROUNDS = 100
const HEARTBEAT_MS = 1000
const EXIT_MS = 30
const LAME_DUCK_MS = 500
/** How long the trial of a new release takes until it shows what it is. */
const VERDICT_MS = { good: 12_000, bad: 4000 }

/** The defaults of the service, in ms and bytes. */
export const PLAYGROUND_LIMITS = {
  ...LIMITS,
  bootMs: 30_000,
  drainMs: 32_000,
  lingerMs: 600_000,
  maxLingering: undefined,
  maxLingeringBytes: 0,
  heartbeatMs: 5000,
  surge: 2,
  surgeBytes: 3 * 2 ** 30,
  maxMemoryBytes: 512 * 2 ** 20,
  maxRequests: 0,
  maxAgeMs: 0
}

/** What a release can be. */
export const RELEASES = {
  good: 'a good release',
  errors: 'answers with errors',
  'cannot-boot': 'cannot boot',
  crashes: 'crashes soon after its start',
  leaks: 'leaks memory'
}

export class SimulatedService {
  now = 0
  /** 'exit' of the plan: the service has ended. */
  ended = false
  /** The release of each generation. */
  releases = new Map([[1, 'good']])
  /** Decisions and events, the oldest first: `{at, kind, text}`. */
  log = []
  /** What the simulation knows of workers, by id: whether it hangs, its memory and its requests. */
  bodies = new Map()
  requests = 0
  failed = 0
  #limits
  #random
  #lastId = 0
  /** What will happen, in no order. */
  #timers = []
  #requestedRelease = 'good'

  /** @param random like Math.random */
  constructor({ workers = 4, random = Math.random, limits = PLAYGROUND_LIMITS } = {}) {
    this.#limits = limits
    this.#random = random
    this.state = initialState(workers)
    this.#note('event', `start with ${workers} workers`)
    this.#reconcile()
    this.#after(HEARTBEAT_MS, () => this.#beat())
  }

  /** Lets time pass. @param ms of the simulation */
  advance(ms) {
    const end = this.now + ms
    while (!this.ended) {
      const timer = this.#timers.reduce((first, one) => (first && first.at <= one.at ? first : one), undefined)
      const deadline = nextDeadline(this.state, this.#limits, this.now) ?? Number.POSITIVE_INFINITY
      const next = Math.min(timer?.at ?? Number.POSITIVE_INFINITY, deadline)
      if (next > end) break
      this.now = Math.max(this.now, next)
      if (timer && timer.at <= this.now) {
        this.#timers.splice(this.#timers.indexOf(timer), 1)
        timer.run()
      } else this.#reconcile()
    }
    this.now = end
  }

  // What a visitor can do.

  /** @param kind a key of `RELEASES` */
  reload(kind) {
    this.#requestedRelease = kind
    this.#handle({ type: 'reload' }, `reload: ${RELEASES[kind]}`)
  }

  promote() {
    this.#handle({ type: 'promote' }, 'promote')
  }

  scale(desired) {
    this.#handle({ type: 'scale', desired }, `scale to ${desired}`)
  }

  crash(id) {
    this.#exit(id, 'uncaught exception')
  }

  hang(id) {
    this.bodies.get(id).hangs = true
    this.#note('event', `${this.#nameOf(id)} hangs: its event loop is blocked`)
  }

  leak(id) {
    this.bodies.get(id).leaks = true
    this.#note('event', `${this.#nameOf(id)} begins to leak memory`)
  }

  recycle(id) {
    this.#handle({ type: 'recycle', id }, `recycle ${this.#nameOf(id)}`)
  }

  stop() {
    this.#handle({ type: 'stop' }, 'stop')
    this.#after(LAME_DUCK_MS, () => this.#handle({ type: 'port-closed' }, 'the port is closed'))
  }

  // The loop of the supervisor: reduce, then plan until nothing is left to do.

  #handle(event, text) {
    if (this.ended) return
    if (text) this.#note('event', text)
    const before = this.state.rollout
    this.#apply(event)
    const { rollout } = this.state
    if (rollout && rollout.generation !== before?.generation) {
      this.releases.set(rollout.generation, this.#requestedRelease)
    }
    this.#reconcile()
    this.#beginTrial()
  }

  #apply(event) {
    this.state = reduce(this.state, event, this.now, this.#limits)
  }

  #reconcile() {
    for (let round = 0; round < MAX_ROUNDS && !this.ended; round++) {
      const actions = plan(this.state, this.#limits, this.now)
      if (actions.length === 0) return
      for (const action of actions) if (!this.ended) this.#execute(action)
    }
  }

  #execute(action) {
    const { id, cause } = action
    switch (action.type) {
      case 'fork':
        return this.#fork(action)
      case 'drain':
        this.#note('decision', `drain ${this.#nameOf(id)}: ${cause}`)
        this.#apply({ type: 'drain-sent', id, transfer: action.transfer, recycled: action.recycled })
        return this.#after(this.#between(200, 900), () => this.#exit(id, 'drained'))
      case 'finish':
        this.#note('decision', `end the drain of ${this.#nameOf(id)} in ${action.deadlineMs} ms: ${cause}`)
        this.#apply({ type: 'finish-sent', id, transfer: action.transfer, deadlineMs: action.deadlineMs })
        return this.#after(action.deadlineMs, () => this.#exit(id, 'drained'))
      case 'examine': {
        const hung = this.bodies.get(id)?.hangs === true
        this.#note('decision', `examine ${this.#nameOf(id)}, which is silent: ${hung ? 'it hangs' : 'it has no CPU'}`)
        this.#apply({ type: 'examined', id, hung })
        if (hung)
          this.#after(300, () =>
            this.#handle({ type: 'hang-reported', id, cause: 'an endless loop' }, 'hang report written')
          )
        return
      }
      case 'kill':
        this.#note('decision', `kill ${this.#nameOf(id)}: ${cause}`)
        this.#apply({ type: 'kill-sent', id, reason: action.reason })
        return this.#after(EXIT_MS, () => this.#exit(id, 'SIGKILL'))
      case 'end-trial':
        this.#note('decision', 'end the trial: undecided in its time')
        return this.#apply({ type: 'trial-ended', outcome: 'undecided', cause: 'undecided in time' })
      case 'end-rollout':
        this.#note(
          'decision',
          `the reload to generation ${action.generation} is ${action.outcome}${cause ? `: ${cause}` : ''}`
        )
        return this.#apply({ type: 'rollout-ended' })
      case 'exit':
        this.#note('decision', `end the service (${action.code}): ${cause}`)
        this.ended = true
    }
  }

  #fork({ slot, generation, cause, control }) {
    const id = ++this.#lastId
    const release = this.releases.get(generation) ?? 'good'
    this.bodies.set(id, { hangs: false, leaks: release === 'leaks', rssBytes: 90 * 2 ** 20, requests: 0 })
    const role = control && { control }
    this.#note(
      'decision',
      `fork #${id} in slot ${slot}, generation ${generation}${control ? ', as control' : ''}: ${cause}`
    )
    this.#apply({ type: 'forked', id, pid: 1000 + id, slot, generation, jitter: this.#random(), ...role })
    const bootMs = this.#between(250, 700)
    if (release === 'cannot-boot') {
      this.#after(bootMs, () => {
        const failure = 'APP cannot be loaded: SyntaxError'
        this.#handle({ type: 'boot-failed', id, cause: failure }, `#${id} cannot boot: ${failure}`)
        this.#exit(id, failure)
      })
      return
    }
    this.#after(bootMs, () => this.#handle({ type: 'ready', id }, `#${id} is ready`))
    if (release === 'crashes') this.#after(bootMs + this.#between(300, 900), () => this.#exit(id, 'uncaught exception'))
  }

  #exit(id, cause) {
    const worker = this.state.workers.find((one) => one.id === id)
    if (!worker || this.ended) return
    // What a worker was working on is lost with it, unless it has drained.
    if (worker.status === 'ready') this.failed += 1 + Math.floor(this.#random() * 3)
    const name = this.#nameOf(id)
    this.bodies.delete(id)
    this.#handle({ type: 'exit', id, cause, random: this.#random() }, `${name} has exited: ${cause}`)
  }

  /** The trial of a canary: there is always traffic to judge it by. Its release decides what the traffic shows. */
  #beginTrial() {
    const { rollout, workers } = this.state
    if (!rollout || rollout.failure || rollout.trial || rollout.verdict) return
    const canary = workers.find((worker) => worker.generation === rollout.generation && serves(worker))
    if (!canary) return
    this.#handle(
      { type: 'trial-begins', wantsControl: true, share: 0.05, maxMs: 30_000, undecided: 'continue' },
      `#${canary.id} is the canary: it receives 5 % of new connections`
    )
    const isBad = this.releases.get(rollout.generation) === 'errors'
    const verdict = isBad
      ? { type: 'trial-ended', outcome: 'worse', cause: 'errors: 21 % of connections, 0 % before' }
      : { type: 'trial-ended', outcome: 'no worse', cause: 'all measures' }
    const { generation } = rollout
    this.#after(isBad ? VERDICT_MS.bad : VERDICT_MS.good, () => {
      if (this.state.rollout?.generation === generation && this.state.rollout.trial) {
        this.#handle(verdict, `the traffic of the canary shows: ${verdict.outcome} (${verdict.cause})`)
      }
    })
  }

  /** Every second each worker that does not hang reports its memory, and has served requests. */
  #beat() {
    for (const worker of this.state.workers.filter(serves)) {
      const body = this.bodies.get(worker.id)
      if (!body || body.hangs) continue
      const served = this.#between(180, 220)
      body.requests += served
      this.requests += served
      if (this.releases.get(worker.generation) === 'errors') this.failed += Math.round(served * 0.02)
      if (body.leaks) body.rssBytes += this.#between(30, 60) * 2 ** 20
      this.#handle({ type: 'heartbeat', id: worker.id, rssBytes: body.rssBytes, requests: body.requests })
    }
    this.#after(HEARTBEAT_MS, () => this.#beat())
  }

  #after(ms, run) {
    this.#timers.push({ at: this.now + ms, run })
  }

  #between(least, most) {
    return Math.round(least + this.#random() * (most - least))
  }

  #nameOf(id) {
    const worker = this.state.workers.find((one) => one.id === id)
    return worker ? `#${id} (slot ${worker.slot})` : `#${id}`
  }

  #note(kind, text) {
    this.log.push({ at: this.now, kind, text })
    if (this.log.length > 500) this.log.shift()
  }
}
