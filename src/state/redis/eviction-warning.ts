import type { Logger } from '../../common/log.ts'
import type { RedisClient } from './redis-client.ts'

/** Logs a warning when Redis may evict keys without a TTL, such as counters, once its memory is full. */
export async function warnOfEviction(client: RedisClient, log: Logger): Promise<void> {
  // An ACL may forbid INFO. Then there is nothing to warn about.
  const info = await client.info('memory').catch(() => '')
  const [, policy] = /^maxmemory_policy:(allkeys-\S+)/m.exec(info) ?? []
  if (policy) log.warn({ policy }, 'Redis may evict counters when it is full: set maxmemory-policy to volatile-ttl')
}
