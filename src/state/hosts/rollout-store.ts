import type { RolloutRecord, TurnAnswer } from '../../ipc/host-messages.ts'
import { LEASE_SCRIPTS } from '../locks/lease-scripts.ts'
import { type LeaseKeys, leaseKeys } from '../locks/leases.ts'
import type { RedisClient, RedisConnection } from '../redis/redis-connection.ts'

/** How long a record is kept. After it, a release that failed may be rolled out again. */
export const RECORD_TTL_MS = 24 * 3_600_000

/** Stores a record unless one with a higher fence is stored. ARGV: fence, record, TTL in ms. Returns 1, or 0 when it is refused. */
const RECORD = `
if (tonumber(redis.call('HGET', KEYS[1], 'fence')) or 0) > tonumber(ARGV[1]) then return 0 end
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], 'fence', ARGV[1], 'record', ARGV[2], 'at', string.format('%.0f', time[1] * 1000))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1`

type Script<Args extends unknown[], Reply> = (...args: [...LeaseKeys, name: string, token: string, ...Args]) => Reply
type Client = RedisClient & {
  musterTake: Script<[ttlMs: number, periodMs: 0, ticket: number], Promise<[number, number, number, number]>>
  musterRenew: Script<[periodMs: 0], Promise<number>>
  musterRelease: Script<[periodMs: 0, forgetPeriod: 0], Promise<number>>
  musterRolloutRecord(key: string, fence: number, record: string, ttlMs: number): Promise<number>
}

/**
 * The turns of rollouts: a lease in Redis, and a record of the last rollout. The primary holds the lease, since the workers that send
 * its commands are the ones that the rollout replaces: it names the lease by a token.
 */
export class RolloutStore {
  readonly #client: Client
  readonly #key: string
  readonly #lease: [...LeaseKeys, string]

  constructor({ writes: client, keys }: RedisConnection) {
    for (const [name, lua] of Object.entries(LEASE_SCRIPTS)) client.defineCommand(name, { numberOfKeys: 4, lua })
    client.defineCommand('musterRolloutRecord', { numberOfKeys: 1, lua: RECORD })
    this.#client = client as Client
    this.#key = keys.of('rollout')
    this.#lease = [...leaseKeys(keys, this.#key), this.#key]
  }

  /** Asks for the lease, or keeps the place in the queue. The same token gets the same lease again. Two commands. */
  async take(token: string, ticket: number, ttlMs: number): Promise<TurnAnswer> {
    const [fence, , place = 0, ahead = 0] = await this.#client.musterTake(...this.#lease, token, ttlMs, 0, ticket)
    const last = await this.#read()
    return { fence, ticket: fence > 0 ? 0 : place, ahead, ...(last && { last }) }
  }

  /** @returns false when the lease is lost */
  async renew(token: string): Promise<boolean> {
    return (await this.#client.musterRenew(...this.#lease, token, 0)) === 1
  }

  /** Frees the lease and gives up the place in the queue. */
  async release(token: string): Promise<void> {
    await this.#client.musterRelease(...this.#lease, token, 0, 0)
  }

  /** @returns false when a host with a higher fence has written since */
  async record(record: RolloutRecord, fence: number): Promise<boolean> {
    return (await this.#client.musterRolloutRecord(this.#key, fence, JSON.stringify(record), RECORD_TTL_MS)) === 1
  }

  async #read(): Promise<TurnAnswer['last']> {
    const [record, fence, at] = await this.#client.hmget(this.#key, 'record', 'fence', 'at')
    return record ? { record: JSON.parse(record) as RolloutRecord, fence: Number(fence), at: Number(at) } : undefined
  }
}
