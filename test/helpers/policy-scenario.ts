import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { plan } from '../../src/primary/policy/plan.ts'
import { LIMITS, type Limits } from '../../src/primary/policy/policy-limits.ts'
import { reduce } from '../../src/primary/policy/reduce.ts'
import type { Undecided } from '../../src/primary/policy/trial-types.ts'
import { type Action, type Event, initialState, type State } from '../../src/primary/policy/types.ts'

/** The service's backoff and attempts, short deadlines (only their order matters), and no canary time. */
export const limits: Limits = {
  ...LIMITS,
  bootMs: 1000,
  drainMs: 2000,
  marginMs: 500,
  lingerMs: 60_000,
  maxLingering: undefined,
  maxLingeringBytes: 0,
  canaryMs: 0,
  surge: 1,
  surgeBytes: Number.POSITIVE_INFINITY,
  heartbeatMs: 0,
  maxMemoryBytes: 0,
  maxRequests: 0,
  maxAgeMs: 0
}

/** A plan that is not empty after this many rounds is an endless loop. */
const MAX_ROUNDS = 100

/**
 * A supervisor without processes. It reduces events, and executes each planned action by reporting it as done and describing it
 * in words. A kill or drain of a worker in the wrong status throws.
 */
export class Scenario {
  state: State
  readonly limits: Limits
  now = 0
  /** Jitter of the workers that are forked. */
  jitter = () => 0
  /** Silent workers that hang; the other silent ones are starved of CPU. */
  readonly hung = new Set<number>()
  /** Id of the last worker that was forked; the first one has 1. */
  lastId = 0
  /** No process can be created: the fork throws, or says so later. */
  forksFail: 'at once' | 'later' | undefined
  #ended = false
  /** Called for every action before it is executed. */
  onAction: (action: Action) => void = () => {}

  constructor(desired: number, special: Partial<Limits> = {}) {
    this.state = initialState(desired)
    this.limits = { ...limits, ...special }
  }

  /** @returns the executed actions, in words */
  handle(event: Event): string[] {
    this.state = reduce(this.state, event, this.now, this.limits)
    return this.reconcile()
  }

  advance(ms: number): string[] {
    this.now += ms
    return this.reconcile()
  }

  reconcile(): string[] {
    const done: string[] = []
    if (this.#ended) return done
    for (let round = 0; ; round++) {
      const actions = plan(this.state, this.limits, this.now)
      if (actions.length === 0) return done
      if (round === MAX_ROUNDS)
        throw new Error(`the plan never becomes empty; the last one: ${JSON.stringify(actions)}`)
      for (const action of actions) {
        done.push(this.#execute(action))
        if (action.type === 'exit') {
          this.#ended = true
          return done
        }
      }
    }
  }

  #execute(action: Action): string {
    this.onAction(action)
    switch (action.type) {
      case 'fork': {
        const { slot, generation, control } = action
        if (this.forksFail) return this.#failFork(slot, generation)
        const id = ++this.lastId
        const role = control && { control }
        this.#apply({ type: 'forked', id, pid: 1000 + id, slot, generation, jitter: this.jitter(), ...role })
        return `fork #${id}: slot ${slot}, generation ${generation}${control ? ', control' : ''}`
      }
      case 'drain': {
        const worker = this.#find(action.id)
        if (worker.status !== 'ready') throw new Error(`worker ${action.id} is to drain, but it is ${worker.status}`)
        const { id, transfer, recycled } = action
        this.#apply({ type: 'drain-sent', id, transfer, recycled })
        return `drain #${action.id}${action.transfer ? ', transferring' : ''}`
      }
      case 'finish': {
        const { id, transfer, deadlineMs, cause } = action
        const worker = this.#find(id)
        if (worker.status !== 'draining')
          throw new Error(`worker ${id} is to finish its drain, but it is ${worker.status}`)
        this.#apply({ type: 'finish-sent', id, transfer, deadlineMs })
        return `finish #${id} in ${deadlineMs} ms: ${cause}`
      }
      case 'examine': {
        const hung = this.hung.has(action.id)
        this.#apply({ type: 'examined', id: action.id, hung })
        return `examine #${action.id}: ${hung ? 'hung' : 'starved'}`
      }
      case 'kill': {
        if (this.#find(action.id).killed) throw new Error(`worker ${action.id} is to be killed a second time`)
        this.#apply({ type: 'kill-sent', id: action.id, reason: action.reason })
        return `kill #${action.id}: ${action.cause}`
      }
      case 'end-trial':
        this.#apply({ type: 'trial-ended', outcome: 'undecided', cause: 'undecided in time' })
        return 'trial undecided'
      case 'end-rollout':
        this.#apply({ type: 'rollout-ended' })
        return `rollout ${action.generation} ${action.outcome}${action.cause === undefined ? '' : `: ${action.cause}`}`
      case 'exit':
        return `exit ${action.code}: ${action.cause}`
    }
  }

  #failFork(slot: number, generation: number): string {
    const failure = { cause: 'EAGAIN', random: JITTER }
    if (this.forksFail === 'at once') this.#apply({ type: 'fork-failed', slot, generation, ...failure })
    else {
      const id = ++this.lastId
      this.#apply({ type: 'forked', id, pid: 0, slot, generation, jitter: this.jitter() })
      this.#apply({ type: 'exit', id, ...failure })
    }
    return `no process for slot ${slot}, generation ${generation}`
  }

  #apply(event: Event): void {
    this.state = reduce(this.state, event, this.now, this.limits)
  }

  #find(id: number) {
    const worker = this.state.workers.find((one) => one.id === id)
    if (!worker) throw new Error(`there is no worker ${id}`)
    return worker
  }
}

/** An event in words. */
export type StepEvent =
  | 'start'
  | `ready ${number}`
  | `dies ${number}`
  | `left ${number}`
  | `cannot boot ${number}`
  | `heartbeat ${number}`
  | `heartbeat ${number} of ${'MB' | 'requests'} ${number}`
  | `silent ${number}`
  | `hang reported ${number}`
  | `recycle ${number}`
  | `snapshot ${number}`
  | `admin request ${number}`
  | `answered ${number}`
  | `settled ${number}`
  | `drained ${number}`
  | `no process for ${number}`
  | `forks fail ${'at once' | 'later'}`
  | 'forks succeed'
  | 'release missing'
  | 'code changes'
  | 'reload'
  | `trial begins${'' | ' without control'}, undecided: ${Undecided}`
  | `trial ends: ${'no worse' | 'worse'}`
  | 'promote'
  | `scale ${number}`
  | 'stop'
  | 'port closed'
  | `${number} ms pass`
  | `${number} ms pass unnoticed`

/** An event, and all actions that follow from it, in order. */
export type Step = [what: StepEvent, ...done: string[]]

/** The jitter of every backoff: the longest, so that each pause has its nominal length. */
const JITTER = 1

export function applyStep(scenario: Scenario, what: StepEvent): string[] {
  const words = what.split(' ')
  const id = Number(words.at(-1))
  if (what.endsWith('ms pass')) return scenario.advance(Number(words[0]))
  if (what.endsWith('unnoticed')) {
    scenario.now += Number(words[0])
    return []
  }
  switch (words[0]) {
    case 'start':
      return scenario.reconcile()
    case 'ready':
      return scenario.handle({ type: 'ready', id })
    case 'dies':
      return scenario.handle({ type: 'exit', id, cause: 'exit code 1', random: JITTER })
    case 'left':
      return scenario.handle({ type: 'exit', id, cause: 'exit code 0', random: JITTER })
    case 'cannot':
      return scenario.handle({ type: 'boot-failed', id, cause: 'no such APP' })
    case 'heartbeat': {
      const [, worker, , unit, amount] = words
      const of = (what: string) => (unit === what ? Number(amount) : 0)
      return scenario.handle({
        type: 'heartbeat',
        id: Number(worker),
        rssBytes: of('MB') * 1e6,
        requests: of('requests')
      })
    }
    case 'silent':
      scenario.hung.add(id)
      return []
    case 'hang':
      return scenario.handle({ type: 'hang-reported', id, cause: 'an endless loop' })
    case 'recycle':
      return scenario.handle({ type: 'recycle', id })
    case 'snapshot':
      return scenario.handle({ type: 'recycle', id, snapshot: '/file' })
    case 'admin':
      return scenario.handle({ type: 'admin-request', id, change: 1 })
    case 'answered':
      return scenario.handle({ type: 'admin-request', id, change: -1 })
    case 'settled':
      return scenario.handle({ type: 'settled', id })
    case 'drained':
      return scenario.handle({ type: 'drained', id })
    case 'trial':
      return scenario.handle(trialEvent(what))
    case 'promote':
      return scenario.handle({ type: 'promote' })
    case 'no':
      return scenario.handle({
        type: 'fork-failed',
        slot: id,
        generation: scenario.state.generation,
        cause: 'EAGAIN',
        random: JITTER
      })
    case 'forks':
      scenario.forksFail = what === 'forks succeed' ? undefined : what === 'forks fail later' ? 'later' : 'at once'
      return []
    case 'release':
      return scenario.handle({ type: 'release-missing' })
    case 'code':
      return scenario.handle({ type: 'rollout-failed', cause: 'the code on disk changed' })
    case 'reload':
      return scenario.handle({ type: 'reload' })
    case 'scale':
      return scenario.handle({ type: 'scale', desired: id })
    case 'stop':
      return scenario.handle({ type: 'stop' })
    case 'port':
      return scenario.handle({ type: 'port-closed' })
    default:
      throw new Error(`unknown event "${what}"`)
  }
}

function trialEvent(what: string): Event {
  const last = what.split(': ')[1]
  if (last === 'worse' || last === 'no worse') return { type: 'trial-ended', outcome: last, cause: 'more errors' }
  const wantsControl = !what.includes('without control')
  return { type: 'trial-begins', share: 0.05, maxMs: 10_000, wantsControl, undecided: last as Undecided }
}

/** The first steps of most scenarios: workers #1 to #n serve in slots 0 to n-1. */
export function serving(workers: number): Step[] {
  const numbers = Array.from({ length: workers }, (_, slot) => slot)
  return [
    ['start', ...numbers.map((slot) => `fork #${slot + 1}: slot ${slot}, generation 1`)],
    ...numbers.map((slot): Step => [`ready ${slot + 1}`])
  ]
}

/** Defines one test per scenario: exactly the listed actions follow from each event. */
export function describeScenarios(
  chapters: Record<string, Record<string, { workers: number; limits?: Partial<Limits>; steps: Step[] }>>
): void {
  for (const [promise, stories] of Object.entries(chapters)) {
    describe(promise, () => {
      for (const [name, { workers, limits: special, steps }] of Object.entries(stories)) {
        test(name, () => {
          const scenario = new Scenario(workers, special)
          for (const [what, ...done] of steps) assert.deepEqual(applyStep(scenario, what), done, `after "${what}"`)
        })
      }
    })
  }
}
