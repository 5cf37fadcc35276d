import type { HostReport, HostView } from '../../ipc/host-messages.ts'
import type { RedisClient, RedisConnection } from '../redis/redis-connection.ts'

/**
 * Every host has a field `ends ttl report` in the hash KEYS[1]. The sorted set KEYS[2] has the ids of the hosts by the time at
 * which their reports end, in ms of the clock of Redis, so the clocks of hosts do not matter. Both keys have a TTL.
 */
const PRELUDE = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)`

/** Writes a report and removes a few reports that have ended. ARGV: id, report, TTL in ms. */
const BEAT = `${PRELUDE}
local ttl = tonumber(ARGV[3])
local ends = string.format('%.0f', now + ttl)
redis.call('HSET', KEYS[1], ARGV[1], ends .. ' ' .. ARGV[3] .. ' ' .. ARGV[2])
redis.call('ZADD', KEYS[2], ends, ARGV[1])
for _, id in ipairs(redis.call('ZRANGE', KEYS[2], '-inf', string.format('%.0f', now), 'BYSCORE', 'LIMIT', 0, 10)) do
  redis.call('HDEL', KEYS[1], id)
  redis.call('ZREM', KEYS[2], id)
end
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, math.max(ttl, ${3_600_000})) end
return 1`

/** Returns the time and all fields. */
const LIST = `${PRELUDE}
return {now, redis.call('HGETALL', KEYS[1])}`

type Client = RedisClient & {
  musterHostBeat(hash: string, ends: string, id: string, report: string, ttlMs: number): Promise<number>
  musterHostList(hash: string): Promise<[now: number, fields: string[]]>
}

/** The hosts that share one Redis, as each announces itself. */
export class HostRegistry {
  readonly #client: Client
  readonly #keys: [hash: string, ends: string]

  constructor({ client, keys }: RedisConnection) {
    client.defineCommand('musterHostBeat', { numberOfKeys: 2, lua: BEAT })
    client.defineCommand('musterHostList', { numberOfKeys: 1, lua: LIST })
    this.#client = client as Client
    const hash = keys.of('hosts')
    this.#keys = [hash, `{${hash}}:ends`]
  }

  /** Announces a host for `ttlMs`. One command. */
  async beat(report: HostReport, ttlMs: number): Promise<void> {
    await this.#client.musterHostBeat(...this.#keys, report.id, JSON.stringify(report), ttlMs)
  }

  /** Lists the hosts whose reports have not ended. One command. */
  async list(): Promise<HostView[]> {
    const [now, fields] = await this.#client.musterHostList(this.#keys[0])
    return readHosts(
      fields.filter((_, i) => i % 2 === 1),
      now
    )
  }
}

/**
 * Reads the fields of hosts.
 * @param values each `ends ttl report`
 * @param now the time of Redis, in ms since 1970
 * @returns the hosts whose reports are valid now, by host name. A report that ends later than its TTL from now was written before
 *   the clock of Redis was set back: a live host writes a new one soon
 */
export function readHosts(values: readonly string[], now: number): HostView[] {
  const hosts = values.flatMap((value): HostView[] => {
    const [, ends = '', ttl = '', report = ''] = /^(\d+) (\d+) (.*)$/s.exec(value) ?? []
    const leftMs = Number(ends) - now
    if (leftMs <= 0 || leftMs > Number(ttl)) return []
    const parsed = parseReport(report)
    return parsed ? [{ ...parsed, ageMs: Number(ttl) - leftMs }] : []
  })
  return hosts.sort((a, b) => compare(a.host, b.host) || compare(a.id, b.id))
}

/** Another version may have written the report: a host without the fields that every version has is left out. */
function parseReport(text: string): HostReport | undefined {
  try {
    const report = JSON.parse(text) as Partial<HostReport> | null
    const isKnown = typeof report?.id === 'string' && typeof report.host === 'string' && Array.isArray(report.workers)
    return isKnown ? (report as HostReport) : undefined
  } catch {
    return undefined
  }
}

const compare = (a: string, b: string) => (a < b ? -1 : Number(a > b))
