import { Signer } from '@fastify/cookie'
import { stateUnavailable } from '../../../common/errors.ts'
import type { RedisConnection } from '../../../state/redis/redis-connection.ts'

const MAX_CACHED = 10_000

/**
 * The signer of @fastify/cookie with a cache of its HMACs: a cookie that comes back costs none. The first secret signs, all
 * secrets verify.
 * @param secrets empty until the shared secret was read; its content changes when Redis has lost that secret
 */
export function cachedSigner(secrets: readonly string[], redis: RedisConnection) {
  let signer: Signer | undefined
  /** The secret that `signer` signs with. */
  let currentSecret: string | undefined
  /** Verified cookie values with their session ids. */
  const verified = new Map<string, string>()
  /** Ids of verified sessions with their cookie values, signed by the first secret. */
  const signed = new Map<string, string>()

  const clearCache = () => {
    verified.clear()
    signed.clear()
  }
  const refresh = () => {
    if (secrets[0] === currentSecret) return
    currentSecret = secrets[0]
    signer = new Signer([...secrets], 'sha256')
    clearCache()
  }
  return {
    /** @returns why there is no secret yet: without one, nothing can be signed or verified */
    failure: () => {
      refresh()
      return signer ? undefined : stateUnavailable(redis.cause)
    },
    sign: (id: string) => {
      refresh()
      return signed.get(id) ?? signer!.sign(id)
    },
    unsign: (input: string) => {
      if (input === '') return { valid: false, renew: false, value: null }
      refresh()
      const cached = verified.get(input)
      if (cached !== undefined) return { valid: true, renew: false, value: cached }
      const result = signer!.unsign(input)
      // Only valid cookies are cached: a client cannot fill the cache with guesses.
      if (result.valid && result.value !== null) {
        if (verified.size >= MAX_CACHED) clearCache()
        verified.set(input, result.value)
        signed.set(result.value, result.renew ? signer!.sign(result.value) : input)
      }
      return result
    }
  }
}
