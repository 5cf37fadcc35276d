import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { HttpError, stateUnavailable } from '../../common/errors.ts'
import { type Batch, Batcher, type Waiter } from '../redis/batcher.ts'
import type { RedisConnection } from '../redis/redis-connection.ts'
import { RETRY_MS } from '../redis/retry.ts'
import { type CounterBatches, MAX_COUNT, PlainBatches } from './counter-batches.ts'
import { ReplayedBatches } from './replayed-batches.ts'

interface Increment extends Waiter {
  resolve(value: number): void
  reject(error: Error): void
}

/** Most calls of one worker that wait for a number; further ones are refused at once. */
const MAX_WAITING = 10_000

/** The counters of one worker, by name. The service's own `hits` is `muster:hits`; others are `muster:counter:<name>`. */
export class Counters {
  readonly #connection: RedisConnection
  readonly #byName = new Map<string, Counter>()
  readonly #queue = { waiting: 0 }
  readonly #isBusy: (() => boolean) | undefined

  /** @param isBusy see {@link Batcher} */
  constructor(connection: RedisConnection, isBusy?: () => boolean) {
    this.#connection = connection
    this.#isBusy = isBusy
    this.#byName.set('hits', this.#create(connection.keys.of('hits')))
  }

  /**
   * Returns the counter with this name; the same object for the same name.
   * @param name 1 to 64 characters of a-z, 0-9, ".", "_" and "-"
   * @throws TypeError for an invalid name
   */
  get(name: string): Counter {
    const known = this.#byName.get(name)
    if (known) return known
    const counter = this.#create(this.#connection.keys.named('counter', name))
    this.#byName.set(name, counter)
    return counter
  }

  #create(key: string): Counter {
    return new Counter(this.#connection, key, this.#queue, this.#isBusy)
  }
}

/**
 * A counter that all processes share and that never gives one number twice. All increments that {@link Batcher} collects go to
 * Redis as one. A cut connection costs time, but causes no error and never counts twice.
 */
export class Counter {
  /** The key in Redis: a plain integer. */
  readonly key: string
  /** Called with the size of each batch that Redis has counted, also together with sessions. */
  onBatch: ((size: number) => void) | undefined
  readonly #connection: RedisConnection
  readonly #batches: CounterBatches
  readonly #queue: { waiting: number }
  #sequence = 0
  readonly #batcher: Batcher<Increment>
  /** The last error of a command. It is the cause of a timeout where the connection itself works. */
  #lastError: unknown

  /**
   * @param queue counts the waiting calls of all counters that share it
   * @param isBusy see {@link Batcher}
   */
  constructor(connection: RedisConnection, key: string, queue: { waiting: number }, isBusy?: () => boolean) {
    this.key = key
    this.#connection = connection
    this.#queue = queue
    this.#batcher = new Batcher((batch) => this.#send(batch), undefined, isBusy)
    const { confirmations } = connection
    const worker = randomUUID()
    this.#batches = confirmations
      ? new ReplayedBatches(connection, confirmations, key, worker)
      : new PlainBatches(connection, key, worker)
  }

  /**
   * Adds one.
   * @returns the caller's own number: no two callers of any process get the same
   * @throws HttpError 503 STATE_UNAVAILABLE when Redis did not answer in time (the increment happened at most once);
   *   503 TOO_MANY_WAITING when too many calls wait already (it did not happen); 500 COUNTER_EXHAUSTED when the next number
   *   would exceed 9e15 (it did not happen)
   */
  increment(): Promise<number> {
    if (this.#connection.away) return Promise.reject(this.#unavailable())
    if (this.#queue.waiting >= MAX_WAITING) return Promise.reject(tooManyWaiting())
    this.#queue.waiting++
    const deadline = performance.now() + this.#connection.timeoutMs
    return new Promise((resolve, reject) => {
      const expire = () => {
        this.#queue.waiting--
        reject(this.#unavailable())
      }
      this.#batcher.add({ resolve, reject, deadline, expire })
    })
  }

  /**
   * Returns the current value; 0 for a counter that was never incremented.
   * @throws HttpError 503 when Redis did not answer in time, 500 COUNTER_EXHAUSTED when the value exceeds 9e15
   */
  async read(): Promise<number> {
    const value = await this.#batches.read().catch((error: unknown) => {
      throw stateUnavailable(this.#connection.cause ?? error)
    })
    const number = Number(value ?? 0)
    if (number > MAX_COUNT) throw exhausted()
    return number
  }

  /** Repeats the batch until Redis answers or every waiter has expired. */
  async #send(batch: Batch<Increment>): Promise<() => void> {
    const size = batch.items.length
    const sequence = ++this.#sequence
    while (!batch.isExpired) {
      try {
        const last = await this.#batches.add(sequence, size)
        this.onBatch?.(size)
        return () => this.#resolveAll(batch, last - size + 1)
      } catch (error) {
        if (isExhausted(error)) return () => this.#rejectAll(batch)
        this.#lastError = error
        await sleep(RETRY_MS)
      }
    }
    return () => {}
  }

  #resolveAll(batch: Batch<Increment>, first: number): void {
    batch.settle(({ resolve }, i) => {
      this.#queue.waiting--
      resolve(first + i)
    })
  }

  #rejectAll(batch: Batch<Increment>): void {
    batch.settle(({ reject }) => {
      this.#queue.waiting--
      reject(exhausted())
    })
  }

  #unavailable(): HttpError {
    return stateUnavailable(this.#connection.cause ?? this.#lastError)
  }
}

const isExhausted = (error: unknown): boolean => (error as Error).message.includes('EXHAUSTED counter')

const exhausted = (): HttpError =>
  new HttpError(
    500,
    'COUNTER_EXHAUSTED',
    'The counter has reached 9,000,000,000,000,000, its highest number: set its key in Redis to a lower one'
  )

const tooManyWaiting = (): HttpError =>
  new HttpError(503, 'TOO_MANY_WAITING', 'Too many requests wait for the counter', { retryAfter: 1 })
