import { randomBytes } from 'node:crypto'
import type { Keys } from './keys.ts'
import type { RedisClient } from './redis.ts'

/**
 * The secret that signs session cookies when none was given: made once and kept beside the sessions it signs, so that
 * every host on this Redis agrees and sessions survive a restart.
 */
export async function sharedSessionSecret(client: RedisClient, keys: Keys): Promise<string> {
  const key = keys.of('session-secret')
  await client.set(key, randomBytes(32).toString('hex'), 'NX')
  const secret = await client.get(key)
  if (!secret) throw new Error(`${key} is not in Redis though it was just put there`)
  return secret
}
