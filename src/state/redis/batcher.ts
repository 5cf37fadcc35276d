/** After an answer the next batch waits for as many as there were before, for so long at most, in ms. */
const REGROUP_MS = 4

/** A caller that waits for an answer. */
export interface Waiter {
  /** When it stops waiting, in ms of `performance.now()`; never earlier than that of the waiter before it. */
  deadline: number
  /** Called once, if the deadline passes before the answer comes. */
  expire(): void
}

/** The waiters that one batch is for, in the order in which they came. */
export class Batch<Item extends Waiter> {
  readonly items: readonly Item[]
  /** How many of them, from the first on, have expired: they get no answer any more. */
  expired = 0

  constructor(items: readonly Item[]) {
    this.items = items
  }

  /** Whether nobody waits for an answer any more. */
  get isExpired(): boolean {
    return this.expired === this.items.length
  }

  /** Calls `answer` for every waiter that has not expired, with its place in the batch. */
  settle(answer: (item: Item, index: number) => void): void {
    for (let i = this.expired; i < this.items.length; i++) answer(this.items[i]!, i)
  }
}

/**
 * What is asked in one turn of the event loop leaves as one batch. One batch is in flight at a time, and what comes meanwhile
 * is the next, together with those who have just been answered and ask again: so the load of Redis follows round trips, and
 * not requests. A waiter whose deadline passes is expired, whether its batch is in flight or has not left yet; it is then
 * never sent.
 */
export class Batcher<Item extends Waiter> {
  readonly #waiting: Item[] = []
  readonly #send: (batch: Batch<Item>) => Promise<() => void>
  readonly #most: number
  #inFlight: Batch<Item> | undefined
  #timer: NodeJS.Timeout | undefined
  #underWay = false
  /** With so many the next batch is complete, and leaves; 0: it does not wait for anybody. */
  #expected = 0
  #leave = () => {}

  /**
   * @param send resolves with what settles the batch, and never rejects
   * @param most of one batch: the others are the next
   */
  constructor(send: (batch: Batch<Item>) => Promise<() => void>, most = Number.POSITIVE_INFINITY) {
    this.#send = send
    this.#most = most
  }

  add(item: Item): void {
    this.#timer ??= this.#expireAt(item.deadline)
    if (this.#waiting.push(item) === this.#expected) this.#leave()
    if (this.#underWay) return
    this.#underWay = true
    // One turn: everything that the sockets readable in this turn ask for is one batch.
    setImmediate(() => void this.#fly())
  }

  async #fly(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = new Batch(this.#waiting.splice(0, this.#most))
      this.#inFlight = batch
      const settle = await this.#send(batch)
      this.#inFlight = undefined
      // All who asked during one flight, as far as one batch can take them: nobody waits for more.
      const expected = Math.min(batch.items.length + this.#waiting.length, this.#most)
      settle()
      await this.#regroup(expected)
      this.#expected = 0
    }
    this.#underWay = false
  }

  /**
   * Who asks without a pause comes back right after the answer. Without this there would be two groups for ever, each of
   * which waits while the other is in flight: twice the batches for the same requests.
   */
  #regroup(expected: number): Promise<void> {
    if (this.#waiting.length >= expected) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, REGROUP_MS)
      this.#expected = expected
      this.#leave = () => {
        clearTimeout(timer)
        // The rest of this turn comes along.
        setImmediate(resolve)
      }
    })
  }

  /** One timer for all waiters. Each of them keeps a connection or a retry alive, so the timer itself need not. */
  #expireAt(deadline: number): NodeJS.Timeout {
    return setTimeout(() => this.#expire(), Math.max(Math.ceil(deadline - performance.now()), 1)).unref()
  }

  /** Expires the waiters whose deadline has passed: the first ones, since they came in the order of their deadlines. */
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
