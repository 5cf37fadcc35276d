import { randomUUID } from 'node:crypto'
import type { Redis } from 'ioredis'
import { HttpError, stateUnavailable } from '../errors.ts'
import { PREFIX, type RedisLink } from './redis.ts'

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
redis.call('SET', KEYS[2], ARGV[1] .. ':' .. string.format('%d', value), 'EX', 3600)
return value`

type Client = Redis & { musterIncrementBy(key: string, memory: string, sequence: number, by: number): Promise<number> }

interface Batch {
  waiters: { resolve(value: number): void; reject(error: Error): void }[]
  deadline: NodeJS.Timeout
  expired: boolean
}

const RETRY_MS = 10
/** Requests that may wait for their number at one worker; past it they are refused at once. */
const MAX_WAITING = 10_000

/**
 * A counter that every process shares and no request shares its number of. All increments of one turn of the event loop
 * go to Redis as one; one batch is in flight at a time, and what comes meanwhile is the next. A cut connection costs
 * time, not errors, and never counts twice.
 */
export class Counter {
  /** The key in Redis: a plain integer. */
  readonly key: string
  readonly #memory: string
  readonly #link: RedisLink
  readonly #client: Client
  #sequence = 0
  #next: Batch | undefined
  #flying = false

  constructor(link: RedisLink, name: string) {
    this.key = PREFIX + name
    this.#memory = `{${this.key}}:batch:${randomUUID()}`
    this.#link = link
    link.client.defineCommand('musterIncrementBy', { numberOfKeys: 2, lua: SCRIPT })
    this.#client = link.client as Client
  }

  /**
   * Adds one. @returns this caller's own number: no two callers of any process get the same
   * @throws HttpError 503 when Redis did not answer in time; the increment then happened at most once
   */
  increment(): Promise<number> {
    if (this.#link.away) return Promise.reject(stateUnavailable(this.#link.cause))
    const batch = (this.#next ??= this.#open())
    if (batch.waiters.length >= MAX_WAITING) {
      return Promise.reject(
        new HttpError(503, 'TOO_MANY_WAITING', 'Too many requests wait for the counter', { retryAfter: 1 })
      )
    }
    return new Promise((resolve, reject) => {
      batch.waiters.push({ resolve, reject })
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

  #open(): Batch {
    const batch: Batch = {
      waiters: [],
      expired: false,
      deadline: setTimeout(() => this.#expire(batch), this.#link.timeoutMs)
    }
    if (!this.#flying) {
      this.#flying = true
      // One turn: everything that the sockets readable in this turn ask for is one batch.
      setImmediate(() => void this.#fly())
    }
    return batch
  }

  async #fly(): Promise<void> {
    for (let batch = this.#next; batch; batch = this.#next) {
      this.#next = undefined
      await this.#send(batch)
    }
    this.#flying = false
  }

  async #send(batch: Batch): Promise<void> {
    const sequence = ++this.#sequence
    while (!batch.expired) {
      try {
        const last = await this.#client.musterIncrementBy(this.key, this.#memory, sequence, batch.waiters.length)
        clearTimeout(batch.deadline)
        let number = last - batch.waiters.length
        for (const waiter of batch.waiters) waiter.resolve(++number)
        return
      } catch {
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
      }
    }
  }

  #expire(batch: Batch): void {
    batch.expired = true
    if (this.#next === batch) this.#next = undefined
    for (const waiter of batch.waiters) waiter.reject(stateUnavailable(this.#link.cause))
  }
}
