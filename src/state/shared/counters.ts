import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { HttpError, stateUnavailable } from '../../common/errors.ts'
import { type Batch, Batcher, type Waiter } from '../redis/batcher.ts'
import type { Gathered } from '../redis/redis-client.ts'
import { RETRY_MS, type RedisClient, type RedisConnection } from '../redis/redis-connection.ts'

/**
 * INCRBY that may be asked for again. A hash beside the counter, `{<counter>}:batches`, has "sequence:value:time" of the last
 * batch of each worker: a batch whose reply was lost gets the same value, and one that was overtaken is refused. The hash has
 * no TTL, so that no eviction policy but `allkeys-*` removes it. The first batch of a worker removes the records of workers
 * that have not counted for ARGV[4] seconds. An increment that would pass ARGV[5] is undone.
 */
const SCRIPT = `
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

/** Key of the counter, key of the records, worker, sequence, increment, seconds to keep a record, highest value. */
type Arguments = [
  key: string,
  batches: string,
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

/** Requests that may wait for a number at one worker; past it they are refused at once. */
const MAX_WAITING = 10_000
/** How long the last batch of a worker is remembered. It is asked for again for REDIS_TIMEOUT at most. */
const KEEP_SECONDS = 24 * 3600
/**
 * The highest number that a counter gives. Lua and JavaScript cannot tell apart the integers beyond 2^53 (9.007e15), and
 * ioredis 6.0.0 reads integer replies wrongly that are up to 57 below it.
 */
const MAX_COUNT = 9e15

/** The counters of one worker, by name. `hits` is the service's own, in `muster:hits`; others are in `muster:counter:<name>`. */
export class Counters {
  readonly #link: RedisConnection
  readonly #byName = new Map<string, Counter>()
  readonly #queue = { waiting: 0 }

  constructor(link: RedisConnection) {
    this.#link = link
    this.#byName.set('hits', this.#open(link.keys.of('hits')))
  }

  /**
   * The same counter for the same name.
   * @param name 1 to 64 of a-z, 0-9, ".", "_" and "-"
   * @throws TypeError when the name is none
   */
  get(name: string): Counter {
    let counter = this.#byName.get(name)
    if (!counter) this.#byName.set(name, (counter = this.#open(this.#link.keys.named('counter', name))))
    return counter
  }

  #open(key: string): Counter {
    return new Counter(this.#link, key, this.#queue)
  }
}

/**
 * A counter that every process shares and no request shares its number of. What {@link Batcher} gathers goes to Redis as one
 * increment. A cut connection costs time, not errors, and never counts twice.
 */
export class Counter {
  /** The key in Redis: a plain integer. */
  readonly key: string
  /** Told how many increments a batch was that Redis has counted. */
  onBatch: ((size: number) => void) | undefined
  /** The key of the records of batches. It is in one hash slot with the counter. */
  readonly #batchesKey: string
  /** The field of this worker's record. */
  readonly #worker = randomUUID()
  readonly #link: RedisConnection
  readonly #client: Client
  readonly #queue: { waiting: number }
  #sequence = 0
  readonly #batches = new Batcher<Increment>((batch) => this.#send(batch))
  /** What Redis last said, should the connection itself be fine. */
  #fault: unknown

  /** @param queue counts who waits, at all the counters that share it */
  constructor(link: RedisConnection, key: string, queue: { waiting: number }) {
    this.key = key
    this.#batchesKey = `{${key}}:batches`
    this.#link = link
    this.#queue = queue
    link.client.defineCommand('musterIncrementBy' satisfies Gathered, { numberOfKeys: 2, lua: SCRIPT })
    this.#client = link.client as Client
  }

  /**
   * Adds one. @returns this caller's own number: no two callers of any process get the same
   * @throws HttpError 503 when Redis did not answer in time, the increment then happened at most once; or at once when
   *   too many wait already, the increment then did not happen; 500 COUNTER_EXHAUSTED when the next number would be
   *   beyond 9e15, the increment then did not happen
   */
  increment(): Promise<number> {
    if (this.#link.away) return Promise.reject(this.#unavailable())
    if (this.#queue.waiting >= MAX_WAITING) {
      return Promise.reject(
        new HttpError(503, 'TOO_MANY_WAITING', 'Too many requests wait for the counter', { retryAfter: 1 })
      )
    }
    this.#queue.waiting++
    const deadline = performance.now() + this.#link.timeoutMs
    return new Promise((resolve, reject) => {
      const expire = () => {
        this.#queue.waiting--
        reject(this.#unavailable())
      }
      this.#batches.add({ resolve, reject, deadline, expire })
    })
  }

  /** @throws HttpError 503 when Redis did not answer in time, 500 COUNTER_EXHAUSTED when the value is beyond 9e15 */
  async read(): Promise<number> {
    const value = await this.#client.get(this.key).catch((error: unknown) => {
      throw stateUnavailable(this.#link.cause ?? error)
    })
    const number = Number(value ?? 0)
    if (number > MAX_COUNT) throw exhausted()
    return number
  }

  /** Again and again, until there is an answer or nobody waits for it any more. */
  async #send(batch: Batch<Increment>): Promise<() => void> {
    const size = batch.items.length
    const sequence = ++this.#sequence
    while (!batch.isExpired) {
      try {
        const last = await this.#increment(sequence, size)
        this.onBatch?.(size)
        return () => {
          batch.settle(({ resolve }, i) => {
            this.#queue.waiting--
            resolve(last - size + i + 1)
          })
        }
      } catch (error) {
        if (isExhausted(error)) return () => this.#refuse(batch)
        this.#fault = error
        await sleep(RETRY_MS)
      }
    }
    return () => {}
  }

  #increment(sequence: number, by: number): Promise<number> {
    const record = [this.#batchesKey, this.#worker, sequence] as const
    return this.#client.musterIncrementBy(this.key, ...record, by, KEEP_SECONDS, MAX_COUNT)
  }

  #refuse(batch: Batch<Increment>): void {
    batch.settle(({ reject }) => {
      this.#queue.waiting--
      reject(exhausted())
    })
  }

  #unavailable(): HttpError {
    return stateUnavailable(this.#link.cause ?? this.#fault)
  }
}

const isExhausted = (error: unknown): boolean => (error as Error).message.includes('EXHAUSTED counter')

const exhausted = (): HttpError =>
  new HttpError(
    500,
    'COUNTER_EXHAUSTED',
    'The counter has reached 9,000,000,000,000,000, the highest number that it gives'
  )
