import { syncBuiltinESMExports } from 'node:module'
import type { TimerOptions } from 'node:timers'
import type { Random } from '../../helpers/random.ts'

/** The order of what a process does at one moment: an event loop runs timers, then reads, then runs `setImmediate`. */
export const PHASES = { timers: 0, input: 1, immediates: 2 } as const
export type Phase = keyof typeof PHASES

/** What a simulated process is to the time: it may be away for a while, and at its end nothing of it runs any more. */
export interface TimeOwner {
  readonly name: string
  readonly alive: boolean
  /** It does not run before this time, in ms; infinity: never again. */
  stalledUntil: number
  /** Its monotonic clock shows this much more than the virtual time, in ms. */
  readonly clockOffset: number
  /** Called with an exception that nothing caught. */
  crashed(error: unknown): void
}

interface Entry {
  at: number
  phase: number
  sequence: number
  owner: TimeOwner
  run: () => void
  cancelled: boolean
}

/** What setTimeout, setInterval and setImmediate return. */
export class VirtualTimer {
  entry: Entry | undefined

  ref(): this {
    return this
  }

  unref(): this {
    return this
  }

  hasRef(): boolean {
    return true
  }

  cancel(): void {
    if (this.entry) this.entry.cancelled = true
  }
}

/** The time that runs now, in this process. */
let running: VirtualTime | undefined
const timersPromises = process.getBuiltinModule('node:timers/promises')
const { setTimeout: sleep } = timersPromises
// Modules have a binding to this export, so that it is replaced once.
timersPromises.setTimeout = ((ms: number, value: unknown, options?: TimerOptions) =>
  running ? running.sleep(ms, value) : sleep(ms, value, options)) as typeof sleep
syncBuiltinESMExports()

/** Runs everything that nextTick and promises have planned. Node calls it after each callback. */
const { _tickCallback: drainMicrotasks } = process as unknown as { _tickCallback(): void }

/**
 * A clock that jumps from event to event. While {@link run} goes on, the timers, `performance.now`, `Date.now` and `Math.random`
 * of this process are simulated, and belong to the simulated process whose event is run. It is synchronous: nothing real can
 * happen in between.
 */
export class VirtualTime {
  now = 0
  /** Events that were run. */
  steps = 0
  /** Depends on the time, the owner and the order of every event: two runs with the same one were the same. */
  fingerprint = 0x811c9dc5
  readonly #random: Random
  readonly #heap: Entry[] = []
  #sequence = 0
  #current: TimeOwner | undefined

  /** @param random for `Math.random` of the simulated code */
  constructor(random: Random) {
    this.#random = random
  }

  /** The process whose event is run. */
  get current(): TimeOwner {
    if (!this.#current) throw new Error('no simulated process runs')
    return this.#current
  }

  /** Plans an event of a process in `ms`. */
  plan(owner: TimeOwner, ms: number, run: () => void, phase: Phase = 'input'): VirtualTimer {
    const timer = new VirtualTimer()
    timer.entry = this.#push(owner, this.now + ms, PHASES[phase], run)
    return timer
  }

  /**
   * Runs events until `end`, or until `isOver` returns true.
   * @param isOver called after every event
   */
  run(end: number, isOver: () => boolean): void {
    const restore = this.#replaceGlobals()
    try {
      for (let entry = this.#heap[0]; entry && entry.at <= end; entry = this.#heap[0]) {
        this.#pop()
        if (entry.cancelled || !entry.owner.alive) continue
        const { owner } = entry
        if (owner.stalledUntil > entry.at) {
          // It runs when the process does, in the same order.
          if (owner.stalledUntil !== Number.POSITIVE_INFINITY) this.#insert(this.#moved(entry))
          continue
        }
        this.now = entry.at
        this.steps++
        this.#mix(entry)
        this.enter(owner, entry.run)
        if (isOver()) return
      }
      this.now = Math.max(this.now, end)
    } finally {
      restore()
    }
  }

  sleep(ms: number, value: unknown): Promise<unknown> {
    return new Promise((resolve) => void this.plan(this.current, ms, () => resolve(value), 'timers'))
  }

  /** Runs code of a process, and what it plans by nextTick and promises. */
  enter(owner: TimeOwner, run: () => void): void {
    const before = this.#current
    this.#current = owner
    try {
      run()
      if (!before) drainMicrotasks.call(process)
    } catch (error) {
      owner.crashed(error)
    } finally {
      this.#current = before
    }
  }

  /** A timer object stays the same when its event is put off, so that it can still be cancelled. */
  #moved(entry: Entry): Entry {
    entry.at = entry.owner.stalledUntil
    return entry
  }

  #push(owner: TimeOwner, at: number, phase: number, run: () => void): Entry {
    const entry: Entry = { at, phase, sequence: this.#sequence++, owner, run, cancelled: false }
    this.#insert(entry)
    return entry
  }

  #mix({ at, owner }: Entry): void {
    let mixed = this.fingerprint
    mixed = Math.imul(mixed ^ ((at * 1000) | 0), 0x01000193)
    mixed = Math.imul(mixed ^ owner.name.length ^ owner.name.charCodeAt(owner.name.length - 1), 0x01000193)
    this.fingerprint = mixed >>> 0
  }

  #insert(entry: Entry): void {
    const heap = this.#heap
    let i = heap.length
    heap.push(entry)
    while (i > 0) {
      const above = (i - 1) >> 1
      if (!isBefore(entry, heap[above]!)) break
      heap[i] = heap[above]!
      i = above
    }
    heap[i] = entry
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()!
    if (heap.length === 0) return
    let i = 0
    for (;;) {
      let below = 2 * i + 1
      if (below >= heap.length) break
      if (below + 1 < heap.length && isBefore(heap[below + 1]!, heap[below]!)) below++
      if (!isBefore(heap[below]!, last)) break
      heap[i] = heap[below]!
      i = below
    }
    heap[i] = last
  }

  #replaceGlobals(): () => void {
    const { setTimeout, setInterval, setImmediate, clearTimeout, clearInterval, clearImmediate } = globalThis
    const { random } = Math
    const { now } = Date
    const clear = (timer?: VirtualTimer) => timer?.cancel?.()
    Object.assign(globalThis, {
      setTimeout: (run: (...args: unknown[]) => void, ms = 1, ...args: unknown[]) =>
        this.plan(this.current, Math.max(1, ms), () => run(...args), 'timers'),
      setInterval: (run: () => void, ms: number) => this.#interval(this.current, Math.max(1, ms), run),
      setImmediate: (run: (...args: unknown[]) => void, ...args: unknown[]) =>
        this.plan(this.current, 0, () => run(...args), 'immediates'),
      clearTimeout: clear,
      clearInterval: clear,
      clearImmediate: clear
    })
    Math.random = () => this.#random.next()
    const time = () => this.now + (this.#current?.clockOffset ?? 0)
    Date.now = () => 1_800_000_000_000 + Math.floor(time())
    Object.defineProperty(performance, 'now', { value: time, configurable: true })
    running = this
    return () => {
      running = undefined
      Object.assign(globalThis, { setTimeout, setInterval, setImmediate, clearTimeout, clearInterval, clearImmediate })
      Math.random = random
      Date.now = now
      Reflect.deleteProperty(performance, 'now')
    }
  }

  #interval(owner: TimeOwner, ms: number, run: () => void): VirtualTimer {
    const timer = new VirtualTimer()
    const tick = () => {
      // Before the callback, which may clear it. Missed ticks are not made up for, as in Node.
      timer.entry = this.#push(owner, this.now + ms, PHASES.timers, tick)
      run()
    }
    timer.entry = this.#push(owner, this.now + ms, PHASES.timers, tick)
    return timer
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  if (a.at !== b.at) return a.at < b.at
  if (a.phase !== b.phase) return a.phase < b.phase
  return a.sequence < b.sequence
}
