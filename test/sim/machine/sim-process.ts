import type { ProcessStat } from '../../../src/primary/health/process-stat.ts'
import type { TimeOwner, VirtualTime } from './virtual-time.ts'

/** How a process ended: as Node's `exit` event tells it. */
export interface ProcessEnd {
  code: number | null
  signal: string | null
}

/** Why a process does not run: it waits for a CPU, is in an endless loop, or sleeps in a system call. */
export type StallKind = 'starved' | 'loop' | 'asleep'

/** A simulated process: it runs, is stalled for a while, and ends in order or at any moment. */
export class SimProcess implements TimeOwner {
  readonly name: string
  readonly pid: number
  readonly clockOffset: number
  alive = true
  stalledUntil = 0
  stall: StallKind | undefined
  /** Resident memory, which the process claims. */
  rssBytes = 50e6
  end: ProcessEnd | undefined
  /** The process has been told to end, or killed. */
  leaves = false
  /** It never gets ready, or has written garbage: the primary may kill it. */
  isFaulty = false
  /** What it has written to standard error. */
  stderr = ''
  /** Ends at the message that brings this number to 0: the messages that it has sent and received are counted. */
  messagesLeft = Number.POSITIVE_INFINITY
  /** The copies of descriptors that it has. */
  readonly handles = new Set<{ lose(end: ProcessEnd): void }>()
  /** Called with an exception of the code that nothing caught, which ends the process. */
  onUncaught: (stack: string) => void = () => {}
  readonly #time: VirtualTime
  readonly #onEnd: ((end: ProcessEnd) => void)[] = []
  #stalledAt = 0
  #cpuMs = 0
  #waitedMs = 0

  constructor(time: VirtualTime, name: string, pid: number, clockOffset: number) {
    this.#time = time
    this.name = name
    this.pid = pid
    this.clockOffset = clockOffset
  }

  /** @param listener called outside of the process, at once */
  onEnd(listener: (end: ProcessEnd) => void): void {
    this.#onEnd.push(listener)
  }

  /** The process does not run for `ms`; infinity: for ever. What stalls it for longer already goes on. */
  stallFor(ms: number, kind: StallKind): void {
    if (this.#time.now + ms <= this.stalledUntil) return
    this.#account()
    this.stall = kind
    this.#stalledAt = this.#time.now
    this.stalledUntil = this.#time.now + ms
  }

  get isHung(): boolean {
    return this.stalledUntil === Number.POSITIVE_INFINITY
  }

  /** Ends the process: the kernel closes all that it has. */
  exit(end: ProcessEnd): void {
    if (!this.alive) return
    this.alive = false
    this.end = end
    for (const handle of [...this.handles]) handle.lose(end)
    for (const listener of this.#onEnd) listener(end)
  }

  crashed(error: unknown): void {
    const { stack = String(error) } = error as Error
    this.stderr += `    ^\n\n${stack}\n`
    this.onUncaught(`${this.name} ends by an exception: ${stack}`)
    this.exit({ code: 1, signal: null })
  }

  /** As the kernel accounts for it; undefined when the process has ended. @param at the time on the clock of the process that asks */
  stat(at: number): ProcessStat | undefined {
    if (!this.alive) return undefined
    this.#account()
    const isStalled = this.#time.now < this.stalledUntil
    const state = isStalled && this.stall !== 'asleep' ? 'R' : 'S'
    return { at, cpuMs: this.#cpuMs, waitMs: this.#waitedMs, state, rssBytes: this.rssBytes }
  }

  #account(): void {
    const { now } = this.#time
    const ms = Math.min(now, this.stalledUntil) - this.#stalledAt
    if (ms <= 0) return
    if (this.stall === 'loop') this.#cpuMs += ms
    if (this.stall === 'starved') this.#waitedMs += ms
    this.#stalledAt = now
  }
}
