import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { HttpError, stateUnavailable } from '../errors.ts'
import { type Batch, Batches, type Waiter } from './batches.ts'
import { RETRY_MS, type RedisClient, type RedisLink } from './redis.ts'
import type { Gathered } from './redis-client.ts'

/**
 * INCRBY that may be asked for again: the last batch of each worker is remembered as "sequence:value", so a batch whose
 * reply was lost gets the same value, and one that was overtaken is refused.
 */
const SCRIPT = `
local last = redis.call('GET', KEYS[2])
if last then
  local sequence, value = string.match(last, '^(%d+):(%d+)$')
  local ahead = tonumber(sequence) - tonumber(ARGV[1])
  if ahead == 0 then return tonumber(value) end
  if ahead > 0 then return redis.error_reply('STALE batch') end
end
local value = redis.call('INCRBY', KEYS[1], ARGV[2])
redis.call('SET', KEYS[2], ARGV[1] .. ':' .. string.format('%d', value), 'PX', ARGV[3])
return value`

type Client = RedisClient & {
  musterIncrementBy(key: string, memory: string, sequence: number, by: number, keepMs: number): Promise<number>
}

interface Increment extends Waiter {
  resolve(value: number): void
}

/** Requests that may wait for a number at one worker; past it they are refused at once. */
const MAX_WAITING = 10_000
/** How much longer than an idle session a worker's last batch is remembered. */
const REMEMBERED_MS = 3_600_000

/** The counters of one worker, by name. `hits` is the service's own, in `muster:hits`; others are in `muster:counter:<name>`. */
export class Counters {
  readonly #link: RedisLink
  readonly #memoryMs: number
  readonly #byName = new Map<string, Counter>()
  readonly #queue = { waiting: 0 }

  /** @param idleMs how long an idle session lives: where Redis evicts what expires soonest, those go before a last batch */
  constructor(link: RedisLink, idleMs: number) {
    this.#link = link
    this.#memoryMs = idleMs + REMEMBERED_MS
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
    return new Counter(this.#link, key, this.#memoryMs, this.#queue)
  }
}

/**
 * A counter that every process shares and no request shares its number of. What {@link Batches} gathers goes to Redis as one
 * increment. A cut connection costs time, not errors, and never counts twice.
 */
export class Counter {
  /** The key in Redis: a plain integer. */
  readonly key: string
  /** Told how many increments a batch was that Redis has counted. */
  onBatch: ((size: number) => void) | undefined
  /** In one hash slot with it: what is in braces is all that counts. */
  readonly #memory: string
  readonly #memoryMs: number
  readonly #link: RedisLink
  readonly #client: Client
  readonly #queue: { waiting: number }
  #sequence = 0
  readonly #batches = new Batches<Increment>((batch) => this.#send(batch))
  /** What Redis last said, should the connection itself be fine. */
  #fault: unknown

  /** @param queue counts who waits, at all the counters that share it */
  constructor(link: RedisLink, key: string, memoryMs: number, queue: { waiting: number }) {
    this.key = key
    this.#memory = `{${key}}:batch:${randomUUID()}`
    this.#memoryMs = memoryMs
    this.#link = link
    this.#queue = queue
    link.client.defineCommand('musterIncrementBy' satisfies Gathered, { numberOfKeys: 2, lua: SCRIPT })
    this.#client = link.client as Client
  }

  /**
   * Adds one. @returns this caller's own number: no two callers of any process get the same
   * @throws HttpError 503 when Redis did not answer in time, the increment then happened at most once; or at once when
   *   too many wait already, the increment then did not happen
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
      this.#batches.add({ resolve, deadline, expire })
    })
  }

  /** @throws HttpError 503 when Redis did not answer in time */
  async read(): Promise<number> {
    try {
      return Number((await this.#client.get(this.key)) ?? 0)
    } catch (error) {
      throw stateUnavailable(this.#link.cause ?? error)
    }
  }

  /** Again and again, until there is an answer or nobody waits for it any more. */
  async #send(batch: Batch<Increment>): Promise<() => void> {
    const size = batch.items.length
    const sequence = ++this.#sequence
    while (!batch.isExpired) {
      try {
        const last = await this.#client.musterIncrementBy(this.key, this.#memory, sequence, size, this.#memoryMs)
        this.onBatch?.(size)
        return () => {
          batch.settle(({ resolve }, i) => {
            this.#queue.waiting--
            resolve(last - size + i + 1)
          })
        }
      } catch (error) {
        this.#fault = error
        await sleep(RETRY_MS)
      }
    }
    return () => {}
  }

  #unavailable(): HttpError {
    return stateUnavailable(this.#link.cause ?? this.#fault)
  }
}
