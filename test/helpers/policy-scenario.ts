import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { plan } from '../../src/primary/policy/plan.ts'
import { reduce } from '../../src/primary/policy/reduce.ts'
import {
  type Action,
  type Event,
  initialState,
  LIMITS,
  type Limits,
  type State
} from '../../src/primary/policy/types.ts'

/** Backoff and attempts as the service has them; short deadlines, since only their order matters; no canary time. */
export const limits: Limits = {
  ...LIMITS,
  bootMs: 1000,
  drainMs: 2000,
  canaryMs: 0,
  heartbeatMs: 0,
  maxMemoryBytes: 0,
  maxRequests: 0,
  maxAgeMs: 0
}

/** What a `plan` may never ask for; a scenario that meets it fails. */
const MAX_ROUNDS = 100

/**
 * A supervisor without processes: tells `apply` what happens, performs what `plan` decides by saying that it is done,
 * and returns it in words. A kill or drain of a worker that cannot be killed or drained (any more) throws.
 */
export class Scenario {
  state: State
  readonly limits: Limits
  now = 0
  /** Jitter of the workers that are forked. */
  jitter = () => 0
  /** Silent workers that are found to hang when they are looked at; the others are starved. */
  readonly hung = new Set<number>()
  /** Numbers of workers are given in the order of their forks, from 1. */
  lastId = 0
  #ended = false
  /** Called for every action that is performed. */
  onAction: (action: Action) => void = () => {}

  constructor(desired: number, special: Partial<Limits> = {}) {
    this.state = initialState(desired)
    this.limits = { ...limits, ...special }
  }

  /** @returns what is done about it */
  happens(event: Event): string[] {
    this.state = reduce(this.state, event, this.now, this.limits)
    return this.reconcile()
  }

  passes(ms: number): string[] {
    this.now += ms
    return this.reconcile()
  }

  reconcile(): string[] {
    const done: string[] = []
    if (this.#ended) return done
    for (let round = 0; ; round++) {
      const actions = plan(this.state, this.limits, this.now)
      if (actions.length === 0) return done
      if (round === MAX_ROUNDS) throw new Error(`the plan never gets empty, at last: ${JSON.stringify(actions)}`)
      for (const action of actions) {
        done.push(this.#perform(action))
        if (action.type === 'exit') {
          this.#ended = true
          return done
        }
      }
    }
  }

  #perform(action: Action): string {
    this.onAction(action)
    switch (action.type) {
      case 'fork': {
        const id = ++this.lastId
        const { slot, generation } = action
        this.#apply({ type: 'forked', id, pid: 1000 + id, slot, generation, jitter: this.jitter() })
        return `fork #${id}: slot ${slot}, generation ${generation}`
      }
      case 'drain': {
        const worker = this.#find(action.id)
        if (worker.status !== 'ready') throw new Error(`worker ${action.id} is to drain, but it is ${worker.status}`)
        this.#apply({ type: 'drain-sent', id: action.id, recycled: action.recycled })
        return `drain #${action.id}${action.transfer ? ', transferring' : ''}`
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
      case 'end-rollout':
        this.#apply({ type: 'rollout-ended' })
        return `rollout ${action.generation} ${action.outcome}${action.cause === undefined ? '' : `: ${action.cause}`}`
      case 'exit':
        return `exit ${action.code}: ${action.cause}`
    }
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

/** What happens, in words that the type checker knows. */
export type Happening =
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
  | `drained ${number}`
  | `no process for ${number}`
  | 'release missing'
  | 'code changes'
  | 'reload'
  | `scale ${number}`
  | 'stop'
  | 'port closed'
  | `${number} ms pass`
  | `${number} ms pass unnoticed`

/** What happens, and what is done about it: all of it, in this order. */
export type Step = [what: Happening, ...done: string[]]

/** The jitter of every backoff in a story: the longest, so that the wait is the nominal one. */
const JITTER = 1

export function happen(scenario: Scenario, what: Happening): string[] {
  const words = what.split(' ')
  const id = Number(words.at(-1))
  if (what.endsWith('ms pass')) return scenario.passes(Number(words[0]))
  if (what.endsWith('unnoticed')) {
    scenario.now += Number(words[0])
    return []
  }
  switch (words[0]) {
    case 'start':
      return scenario.reconcile()
    case 'ready':
      return scenario.happens({ type: 'ready', id })
    case 'dies':
      return scenario.happens({ type: 'exit', id, cause: 'exit code 1', random: JITTER })
    case 'left':
      return scenario.happens({ type: 'exit', id, cause: 'exit code 0', random: JITTER })
    case 'cannot':
      return scenario.happens({ type: 'boot-failed', id, cause: 'no such APP' })
    case 'heartbeat': {
      const [, worker, , unit, amount] = words
      const of = (what: string) => (unit === what ? Number(amount) : 0)
      return scenario.happens({
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
      return scenario.happens({ type: 'hang-reported', id, cause: 'an endless loop' })
    case 'recycle':
      return scenario.happens({ type: 'recycle', id })
    case 'snapshot':
      return scenario.happens({ type: 'recycle', id, snapshot: '/file' })
    case 'admin':
      return scenario.happens({ type: 'admin-request', id, change: 1 })
    case 'answered':
      return scenario.happens({ type: 'admin-request', id, change: -1 })
    case 'drained':
      return scenario.happens({ type: 'drained', id })
    case 'no':
      return scenario.happens({
        type: 'fork-failed',
        slot: id,
        generation: scenario.state.generation,
        cause: 'EAGAIN',
        random: JITTER
      })
    case 'release':
      return scenario.happens({ type: 'release-missing' })
    case 'code':
      return scenario.happens({ type: 'rollout-failed', cause: 'the code on disk changed' })
    case 'reload':
      return scenario.happens({ type: 'reload' })
    case 'scale':
      return scenario.happens({ type: 'scale', desired: id })
    case 'stop':
      return scenario.happens({ type: 'stop' })
    case 'port':
      return scenario.happens({ type: 'port-closed' })
    default:
      throw new Error(`what is "${what}"?`)
  }
}

/** The first steps of most stories: the service has started and serves, workers #1 to #n in slots 0 to n-1. */
export function serving(workers: number): Step[] {
  const numbers = Array.from({ length: workers }, (_, slot) => slot)
  return [
    ['start', ...numbers.map((slot) => `fork #${slot + 1}: slot ${slot}, generation 1`)],
    ...numbers.map((slot): Step => [`ready ${slot + 1}`])
  ]
}

/** One test a story: nothing is done but what it says. */
export function tell(
  chapters: Record<string, Record<string, { workers: number; limits?: Partial<Limits>; story: Step[] }>>
): void {
  for (const [promise, stories] of Object.entries(chapters)) {
    describe(promise, () => {
      for (const [name, { workers, limits: special, story }] of Object.entries(stories)) {
        test(name, () => {
          const scenario = new Scenario(workers, special)
          for (const [what, ...done] of story) assert.deepEqual(happen(scenario, what), done, `after "${what}"`)
        })
      }
    })
  }
}
