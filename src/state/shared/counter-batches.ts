import type { RedisClient, RedisConnection } from '../redis/redis-connection.ts'

/** How long the last batch of a worker is remembered. A worker repeats it for at most REDIS_TIMEOUT. */
export const KEEP_SECONDS = 24 * 3600
/**
 * The highest value of a counter. Lua and JavaScript cannot tell integers beyond 2^53 (9.007e15) apart, and ioredis 6.0.0 misreads
 * integer replies of up to 57 below it.
 */
export const MAX_COUNT = 9e15

/** Returns the key of the batch records of a counter, in one hash slot with the counter. */
export const batchesKeyOf = (key: string): string => `{${key}}:batches`

/** The batches of one counter as a worker sends them. */
export interface CounterBatches {
  /**
   * Adds `by`. A repeated sequence number is counted once.
   * @param sequence of the batch; each one is higher than the one before
   * @returns the last number of the batch
   */
  add(sequence: number, by: number): Promise<number>
  /** Returns the current value; null where there is none. */
  read(): Promise<number | string | null>
}

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

/** Batches that the primary Redis alone has to have. */
export class PlainBatches implements CounterBatches {
  readonly #client: Client
  readonly #keys: [counter: string, batches: string]
  readonly #worker: string

  /** @param worker the field of this worker's record */
  constructor({ client }: RedisConnection, key: string, worker: string) {
    client.defineCommand('musterIncrementBy', { numberOfKeys: 2, lua: INCREMENT_BY })
    this.#client = client as Client
    this.#keys = [key, batchesKeyOf(key)]
    this.#worker = worker
  }

  add(sequence: number, by: number): Promise<number> {
    return this.#client.musterIncrementBy(...this.#keys, this.#worker, sequence, by, KEEP_SECONDS, MAX_COUNT)
  }

  read(): Promise<string | null> {
    return this.#client.get(this.#keys[0])
  }
}
