import type { ConfirmationReport } from '../durability/confirmation-report.ts'
import type { RedisClient, RedisConnection } from '../redis/redis-connection.ts'
import { retryUntilTimeout } from '../redis/retry.ts'
import { batchesKeyOf, type CounterBatches, KEEP_SECONDS, MAX_COUNT } from './counter-batches.ts'

/**
 * The same as INCREMENT_BY, and more: each batch brings the last confirmed batch of its worker, ARGV[6] with the last number
 * ARGV[7]. A primary that lacks that batch was promoted without it: the counter then goes on behind that number, which belongs to
 * a caller. KEYS[3] has the primary that counted last, by its replication id, which changes with every promotion. A primary that
 * is new gives no new numbers for ARGV[8] ms, so that each worker can bring its last batch first.
 *
 * Returns the last number of the batch; 1 where the confirmed batch was missing; the replication id; and 1 while no new numbers are
 * given. With ARGV[3] = 0 nothing is added, and the value is returned.
 */
const REPLAYED_INCREMENT = `
local time = redis.call('TIME')
local now = tonumber(time[1])
local nowMs, holdMs = now * 1000 + math.floor(time[2] / 1000), tonumber(ARGV[8])
local primary = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)') or '-'
local known, opensAt = string.match(redis.call('GET', KEYS[3]) or '', '^(%S+) (%d+)$')
opensAt = tonumber(opensAt) or 0
if known ~= primary then
  opensAt = known and nowMs + holdMs or 0
  redis.call('SET', KEYS[3], primary .. ' ' .. string.format('%.0f', opensAt))
end
local sequence, last = string.match(redis.call('HGET', KEYS[2], ARGV[1]) or '', '^(%d+):(-?%d+):')
sequence = tonumber(sequence) or 0
local isMissing = tonumber(ARGV[6]) > sequence
if isMissing then
  local missing = tonumber(ARGV[7]) - (tonumber(redis.call('GET', KEYS[1]) or '0') or 0)
  if missing > 0 then redis.call('INCRBY', KEYS[1], string.format('%.0f', missing)) end
  redis.call('HSET', KEYS[2], ARGV[1], string.format('%s:%s:%d', ARGV[6], ARGV[7], now))
  sequence, last = tonumber(ARGV[6]), ARGV[7]
end
local restored = isMissing and 1 or 0
local held = opensAt > nowMs and opensAt <= nowMs + holdMs and 1 or 0
if ARGV[3] == '0' then return {tonumber(redis.call('GET', KEYS[1]) or '0') or 0, restored, primary, held} end
local ahead = sequence - tonumber(ARGV[2])
if ahead == 0 then return {tonumber(last), restored, primary, 0} end
if ahead > 0 then return redis.error_reply('STALE batch') end
if held == 1 then return {0, restored, primary, 1} end
local value = redis.call('INCRBY', KEYS[1], ARGV[3])
if value > tonumber(ARGV[5]) then
  redis.call('INCRBY', KEYS[1], '-' .. ARGV[3])
  return redis.error_reply('EXHAUSTED counter')
end
local isNew = redis.call('HSET', KEYS[2], ARGV[1], string.format('%s:%.0f:%d', ARGV[2], value, now))
if isNew == 1 then
  local records = redis.call('HGETALL', KEYS[2])
  for i = 1, #records, 2 do
    local at = tonumber(string.match(records[i + 1], ':(%d+)$'))
    if now - at > tonumber(ARGV[4]) then redis.call('HDEL', KEYS[2], records[i]) end
  end
end
return {value, restored, primary, 0}`

type Arguments = [
  counter: string,
  batches: string,
  primary: string,
  worker: string,
  sequence: number,
  by: number,
  keepSeconds: number,
  max: number,
  confirmedSequence: number,
  confirmedLast: number,
  holdMs: number
]
type Reply = [value: number, restored: number, primary: string, held: number]
type Client = RedisClient & { musterReplayedIncrement(...args: Arguments): Promise<Reply> }

/** How long a new primary gives no new numbers, in ms: workers need up to 1.1 s to connect, and idle ones check every 500 ms. */
export const HOLD_MS = 2000
/** How often a worker that does not count looks whether the primary is another one, in ms. */
const CHECK_MS = 500
/** A batch that was confirmed longer ago than this is not brought to a new primary, in ms. */
const REPLAY_MS = 60_000

/**
 * Batches that replicas have confirmed before they are answered. The last one is brought to every new primary, which counts it if it
 * lacks it. It stands for the earlier ones too: what a promotion loses is the end of a history, and earlier numbers are lower.
 */
export class ReplayedBatches implements CounterBatches {
  readonly #connection: RedisConnection
  readonly #client: Client
  readonly #report: ConfirmationReport
  readonly #keys: [counter: string, batches: string, primary: string]
  readonly #worker: string
  readonly #now: () => number
  /** The last confirmed batch; its sequence number is 0 where there is none. */
  #confirmed = { sequence: 0, last: 0, at: 0 }
  /** The replication id of the primary that answered last. */
  #primary: string | undefined
  #repliedAt = 0
  #timer: NodeJS.Timeout | undefined

  /** @param worker the field of this worker's record */
  constructor(
    connection: RedisConnection,
    report: ConfirmationReport,
    key: string,
    worker: string,
    now: () => number = () => performance.now()
  ) {
    const { writes } = connection
    writes.defineCommand('musterReplayedIncrement', { numberOfKeys: 3, lua: REPLAYED_INCREMENT })
    this.#connection = connection
    this.#client = writes as Client
    this.#report = report
    this.#keys = [key, batchesKeyOf(key), `{${key}}:primary`]
    this.#worker = worker
    this.#now = now
  }

  /** @throws also while a new primary waits for the last batches of all workers */
  async add(sequence: number, by: number): Promise<number> {
    const last = await this.#ask(sequence, by)
    this.#confirmed = { sequence, last, at: this.#now() }
    this.#timer ??= setTimeout(() => void this.#check(), CHECK_MS).unref()
    return last
  }

  /** Returns a value that replicas have confirmed. */
  read(): Promise<number> {
    return retryUntilTimeout(this.#connection, () => this.#ask(0, 0))
  }

  async #ask(sequence: number, by: number): Promise<number> {
    const [value, isHeld] = await this.#send(sequence, by)
    if (isHeld) throw new Error('a new Redis primary waits for the last batches of all workers')
    return value
  }

  async #send(sequence: number, by: number): Promise<[value: number, isHeld: boolean]> {
    const { sequence: confirmed, last } = this.#confirmed
    const batch = [this.#worker, sequence, by, KEEP_SECONDS, MAX_COUNT, confirmed, last, HOLD_MS] as const
    const [value, restored, primary, held] = await this.#client.musterReplayedIncrement(...this.#keys, ...batch)
    this.#repliedAt = this.#now()
    const isOther = this.#primary !== undefined && this.#primary !== primary
    this.#primary = primary
    if (confirmed > 0 && (isOther || restored === 1)) this.#report.replayed(this.#keys[0], restored === 1)
    return [value, held === 1]
  }

  /** Brings the last batch of an idle worker to a new primary. While Redis does not answer, it tries again. */
  async #check(): Promise<void> {
    let isReached = true
    if (this.#now() - this.#repliedAt >= CHECK_MS) {
      isReached = await this.#send(0, 0).then(
        () => true,
        () => false
      )
    }
    if (isReached && this.#now() - this.#confirmed.at > REPLAY_MS) {
      this.#confirmed = { sequence: 0, last: 0, at: 0 }
      this.#timer = undefined
      return
    }
    this.#timer = setTimeout(() => void this.#check(), CHECK_MS).unref()
  }
}
