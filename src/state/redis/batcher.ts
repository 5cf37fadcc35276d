import { isLoopBusy } from './loop-load.ts'

/** How long the next batch waits, in ms, while callers ask again right after their answer, or this process is busy. */
const REGROUP_MS = 4
/** How long it waits, in ms, while callers come independently of answers and there is time. Node's timers cannot be shorter. */
export const SHORTEST_PAUSE_MS = 1
/** Callers ask again after their answers if they come at this many times the rate between flights as during flights. */
const ASK_AGAIN_RATIO = 1.4

/** A caller that waits for an answer. */
export interface Waiter {
  /** When the caller stops waiting, in ms of `performance.now()`; never earlier than the deadline of the waiter added before. */
  deadline: number
  /** Called once, if the deadline passes before the answer comes. */
  expire(): void
}

/** The waiters of one batch, in the order in which they were added. */
export class Batch<Item extends Waiter> {
  readonly items: readonly Item[]
  /** Number of waiters that have expired. They are the first ones of {@link items}, and get no answer. */
  expired = 0

  constructor(items: readonly Item[]) {
    this.items = items
  }

  /** Whether every waiter has expired. */
  get isExpired(): boolean {
    return this.expired === this.items.length
  }

  /** Calls `answer` for every waiter that has not expired, with its position in the batch. */
  settle(answer: (item: Item, index: number) => void): void {
    for (let i = this.expired; i < this.items.length; i++) answer(this.items[i]!, i)
  }
}

/** The rate at which callers came lately, in time that is given piece by piece. */
class ArrivalRate {
  #callers = 0
  #ms = 0

  /** Adds a piece of time. The twenty newest pieces count most. */
  add(callers: number, ms: number): void {
    this.#callers = this.#callers * 0.95 + callers
    this.#ms = this.#ms * 0.95 + ms
  }

  /** Callers per ms. NaN before any time has passed. */
  get perMs(): number {
    return this.#callers / this.#ms
  }
}

/**
 * Collects callers into batches and keeps one batch in flight at a time.
 *
 * All callers of one turn of the event loop form one batch. Callers that arrive while it is in flight form the next one,
 * together with callers that were just answered and ask again. The load of Redis therefore follows the number of round trips,
 * not the number of requests. A waiter whose deadline passes is expired, whether its batch is in flight or not; a waiter that
 * expires before its batch leaves is never sent.
 */
export class Batcher<Item extends Waiter> {
  readonly #waiting: Item[] = []
  readonly #send: (batch: Batch<Item>) => Promise<() => void>
  readonly #maxSize: number
  readonly #isBusy: () => boolean
  #inFlight: Batch<Item> | undefined
  #timer: NodeJS.Timeout | undefined
  #isRunning = false
  /** The next batch is complete, and leaves, with this number of waiters; 0: no batch waits to be complete. */
  #expectedSize = 0
  #endRegrouping = () => {}
  readonly #duringFlights = new ArrivalRate()
  readonly #betweenFlights = new ArrivalRate()
  /** Callers that came since the flight, or the time between flights, began. */
  #arrivals = 0
  #since = performance.now()

  /**
   * @param send sends a batch. It resolves with a function that answers the waiters, and never rejects
   * @param maxSize most waiters of one batch; the rest forms the next one
   * @param isBusy whether the CPU time of a batch counts for more than the time for which callers wait
   */
  constructor(
    send: (batch: Batch<Item>) => Promise<() => void>,
    maxSize = Number.POSITIVE_INFINITY,
    isBusy: () => boolean = isLoopBusy
  ) {
    this.#send = send
    this.#maxSize = maxSize
    this.#isBusy = isBusy
  }

  /** Adds a waiter to the next batch. */
  add(item: Item): void {
    this.#arrivals++
    this.#timer ??= this.#expireAt(item.deadline)
    if (this.#waiting.push(item) === this.#expectedSize) this.#endRegrouping()
    if (this.#isRunning) return
    this.#isRunning = true
    // One turn of the event loop: the requests of all sockets that are readable now form one batch.
    setImmediate(() => void this.#run())
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = new Batch(this.#waiting.splice(0, this.#maxSize))
      this.#inFlight = batch
      this.#record(this.#betweenFlights)
      const settle = await this.#send(batch)
      this.#record(this.#duringFlights)
      this.#inFlight = undefined
      // The callers that asked during one flight are the callers to expect for the next one.
      const expectedSize = Math.min(batch.items.length + this.#waiting.length, this.#maxSize)
      settle()
      await this.#regroup(expectedSize)
      this.#expectedSize = 0
    }
    this.#isRunning = false
  }

  #record(rate: ArrivalRate): void {
    const now = performance.now()
    rate.add(this.#arrivals, now - this.#since)
    this.#arrivals = 0
    this.#since = now
  }

  /**
   * Waits for callers that ask again right after their answer. Without this pause the callers would split into two groups for
   * ever, each waiting while the other is in flight: twice the batches for the same requests. Callers that do not depend on
   * answers come as often during a flight as after it. For them a pause only delays those who wait already, so it is short, unless
   * the event loop is busy: then requests wait for CPU time more than for Redis, and fewer batches leave more of it.
   */
  #regroup(expectedSize: number): Promise<void> {
    if (this.#waiting.length >= expectedSize) return Promise.resolve()
    return new Promise((resolve) => {
      const askAgain = this.#betweenFlights.perMs > ASK_AGAIN_RATIO * this.#duringFlights.perMs
      const timer = setTimeout(resolve, askAgain || this.#isBusy() ? REGROUP_MS : SHORTEST_PAUSE_MS)
      this.#expectedSize = expectedSize
      this.#endRegrouping = () => {
        clearTimeout(timer)
        // The callers of the rest of this turn join the batch.
        setImmediate(resolve)
      }
    })
  }

  /** Starts the one timer for all waiters. It is unreferenced: each waiter has a connection or a retry that keeps the process alive. */
  #expireAt(deadline: number): NodeJS.Timeout {
    return setTimeout(() => this.#expire(), Math.max(Math.ceil(deadline - performance.now()), 1)).unref()
  }

  /** Expires the waiters whose deadline has passed. They are the first ones, since deadlines never decrease. */
  #expire(): void {
    const now = performance.now()
    const batch = this.#inFlight
    while (batch && !batch.isExpired && batch.items[batch.expired]!.deadline <= now) {
      batch.items[batch.expired++]!.expire()
    }
    while (this.#waiting.length > 0 && this.#waiting[0]!.deadline <= now) this.#waiting.shift()!.expire()
    const next = batch?.items[batch.expired] ?? this.#waiting[0]
    this.#timer = next && this.#expireAt(next.deadline)
  }
}
