import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  type Action,
  apply,
  type Event,
  initialState,
  LIMITS,
  type Limits,
  plan,
  type State
} from '../../src/primary/plan.ts'

/** Backoff and attempts as the service has them; short deadlines, since only their order matters. */
export const limits: Limits = { ...LIMITS, bootMs: 1000, drainMs: 2000 }

/** What a `plan` may never ask for; a rehearsal that meets it fails. */
const MAX_ROUNDS = 100

/**
 * A supervisor without processes: tells `apply` what happens, performs what `plan` decides by saying that it is done,
 * and returns it in words. A kill or drain of a worker that cannot be killed or drained (any more) throws.
 */
export class Rehearsal {
  state: State
  now = 0
  /** Numbers of workers are given in the order of their forks, from 1. */
  lastId = 0
  /** Called for every action that is performed. */
  onAction: (action: Action) => void = () => {}

  constructor(desired: number) {
    this.state = initialState(desired)
  }

  /** @returns what is done about it */
  happens(event: Event): string[] {
    this.state = apply(this.state, event, this.now, limits)
    return this.reconcile()
  }

  passes(ms: number): string[] {
    this.now += ms
    return this.reconcile()
  }

  reconcile(): string[] {
    const done: string[] = []
    for (let round = 0; ; round++) {
      const actions = plan(this.state, limits, this.now)
      if (actions.length === 0) return done
      if (round === MAX_ROUNDS) throw new Error(`the plan never gets empty, at last: ${JSON.stringify(actions)}`)
      for (const action of actions) {
        done.push(this.#perform(action))
        if (action.type === 'exit') return done
      }
    }
  }

  #perform(action: Action): string {
    this.onAction(action)
    switch (action.type) {
      case 'fork': {
        const id = ++this.lastId
        const { slot, generation } = action
        this.#apply({ type: 'forked', id, pid: 1000 + id, slot, generation })
        return `fork #${id}: slot ${slot}, generation ${generation}`
      }
      case 'drain': {
        const worker = this.#find(action.id)
        if (worker.status !== 'ready') throw new Error(`worker ${action.id} is to drain, but it is ${worker.status}`)
        this.#apply({ type: 'drain-sent', id: action.id })
        return `drain #${action.id}${action.handOver ? ', handing over' : ''}`
      }
      case 'kill': {
        if (this.#find(action.id).killed) throw new Error(`worker ${action.id} is to be killed a second time`)
        this.#apply({ type: 'kill-sent', id: action.id, reason: action.reason })
        return `kill #${action.id}: ${action.why}`
      }
      case 'end-roll':
        this.#apply({ type: 'roll-ended' })
        return `roll ${action.generation} ${action.outcome}${action.why === undefined ? '' : `: ${action.why}`}`
      case 'exit':
        return `exit ${action.code}: ${action.why}`
    }
  }

  #apply(event: Event): void {
    this.state = apply(this.state, event, this.now, limits)
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

export function happen(rehearsal: Rehearsal, what: Happening): string[] {
  const words = what.split(' ')
  const id = Number(words.at(-1))
  if (what.endsWith('ms pass')) return rehearsal.passes(Number(words[0]))
  if (what.endsWith('unnoticed')) {
    rehearsal.now += Number(words[0])
    return []
  }
  switch (words[0]) {
    case 'start':
      return rehearsal.reconcile()
    case 'ready':
      return rehearsal.happens({ type: 'ready', id })
    case 'dies':
      return rehearsal.happens({ type: 'exit', id, how: 'exit code 1', random: JITTER })
    case 'left':
      return rehearsal.happens({ type: 'exit', id, how: 'exit code 0', random: JITTER })
    case 'cannot':
      return rehearsal.happens({ type: 'boot-failed', id, why: 'no such APP' })
    case 'reload':
      return rehearsal.happens({ type: 'reload' })
    case 'scale':
      return rehearsal.happens({ type: 'scale', desired: id })
    case 'stop':
      return rehearsal.happens({ type: 'stop' })
    case 'port':
      return rehearsal.happens({ type: 'port-closed' })
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
export function tell(chapters: Record<string, Record<string, { workers: number; story: Step[] }>>): void {
  for (const [promise, stories] of Object.entries(chapters)) {
    describe(promise, () => {
      for (const [name, { workers, story }] of Object.entries(stories)) {
        test(name, () => {
          const rehearsal = new Rehearsal(workers)
          for (const [what, ...done] of story) assert.deepEqual(happen(rehearsal, what), done, `after "${what}"`)
        })
      }
    })
  }
}
