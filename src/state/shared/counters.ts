import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { HttpError, stateUnavailable } from '../../common/errors.ts'
import { type Batch, Batcher, type Waiter } from '../redis/batcher.ts'
import type { BatchCommand } from '../redis/redis-client.ts'
import type { RedisClient, RedisConnection } from '../redis/redis-connection.ts'
import { RETRY_MS } from '../redis/retry.ts'

/**
 * An INCRBY that may be repeated. A hash beside the counter, `{<counter>}:batches`, has "sequence:value:time" of the last batch of
 * each worker. A batch that is repeated because its reply was lost gets the same value, and one that was overtaken is refused. The
 * hash has no TTL, so no eviction policy but `allkeys-*` removes it. The first batch of a worker removes the records of workers
 * that have not counted for ARGV[4] seconds. An increment that would exceed ARGV[5] is undone.
 */
const INCREMENT_BY = `
local last = redis.call('HGET', KEYS[2], ARGV[1])
if last then
  local sequence, value = string.match(last, '^(%d+):(-?%d+):')
  local ahead = tonumber(sequence) - tonumber(ARGV[2])
  if ahead == 0 then return tonumber(value) end
  if ahead > 0 then return redis.error_reply('STALE batch') end
end
local value = redis.call('INCRBY', KEYS[1], ARGV[3])
if value > tonumber(ARGV[5]) then
  redis.call('INCRBY', KEYS[1], '-' .. ARGV[3])
  return redis.error_reply('EXHAUSTED counter')
end
local now = tonumber(redis.call('TIME')[1])
local isNew = redis.call('HSET', KEYS[2], ARGV[1], string.format('%s:%d:%d', ARGV[2], value, now))
if isNew == 1 then
  local records = redis.call('HGETALL', KEYS[2])
  for i = 1, #records, 2 do
    local at = tonumber(string.match(records[i + 1], ':(%d+)$'))
    if now - at > tonumber(ARGV[4]) then redis.call('HDEL', KEYS[2], records[i]) end
  end
end
return value`

type Arguments = [
  key: string,
  batchesKey: string,
  worker: string,
  sequence: number,
  by: number,
  keepSeconds: number,
  max: number
]
type Client = RedisClient & { musterIncrementBy(...args: Arguments): Promise<number> }

interface Increment extends Waiter {
  resolve(value: number): void
  reject(error: Error): void
}

/** Most calls of one worker that wait for a number; further ones are refused at once. */
const MAX_WAITING = 10_000
/** How long the last batch of a worker is remembered. A worker repeats it for at most REDIS_TIMEOUT. */
const KEEP_SECONDS = 24 * 3600
/**
 * The highest value of a counter. Lua and JavaScript cannot tell integers beyond 2^53 (9.007e15) apart, and ioredis 6.0.0 misreads
 * integer replies of up to 57 below it.
 */
const MAX_COUNT = 9e15

/** The counters of one worker, by name. The service's own `hits` is `muster:hits`; others are `muster:counter:<name>`. */
export class Counters {
  readonly #connection: RedisConnection
  readonly #byName = new Map<string, Counter>()
  readonly #queue = { waiting: 0 }

  constructor(connection: RedisConnection) {
    this.#connection = connection
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
    return new Counter(this.#connection, key, this.#queue)
  }
}

/**
 * A counter that all processes share and that never gives one number twice. All increments that {@link Batcher} collects go to
 * Redis as one. A cut connection costs time, but causes no error and never counts twice.
 */
export class Counter {
  /** The key in Redis: a plain integer. */
  readonly key: string
  /** Called with the size of each batch that Redis has counted. */
  onBatch: ((size: number) => void) | undefined
  /** The key of the batch records, in one hash slot with the counter. */
  readonly #batchesKey: string
  /** The field of this worker's record. */
  readonly #worker = randomUUID()
  readonly #connection: RedisConnection
  readonly #client: Client
  readonly #queue: { waiting: number }
  #sequence = 0
  readonly #batcher = new Batcher<Increment>((batch) => this.#send(batch))
  /** The last error of a command. It is the cause of a timeout where the connection itself works. */
  #lastError: unknown

  /** @param queue counts the waiting calls of all counters that share it */
  constructor(connection: RedisConnection, key: string, queue: { waiting: number }) {
    this.key = key
    this.#batchesKey = `{${key}}:batches`
    this.#connection = connection
    this.#queue = queue
    connection.client.defineCommand('musterIncrementBy' satisfies BatchCommand, { numberOfKeys: 2, lua: INCREMENT_BY })
    this.#client = connection.client as Client
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
    const value = await this.#client.get(this.key).catch((error: unknown) => {
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
        const last = await this.#incrementBy(sequence, size)
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

  #incrementBy(sequence: number, by: number): Promise<number> {
    const record = [this.#batchesKey, this.#worker, sequence] as const
    return this.#client.musterIncrementBy(this.key, ...record, by, KEEP_SECONDS, MAX_COUNT)
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
