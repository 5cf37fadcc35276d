import { Signer } from '@fastify/cookie'
import type { FastifyRequest } from 'fastify'
import { stateUnavailable } from '../../../common/errors.ts'
import type { RedisConnection } from '../../../state/redis/redis-connection.ts'

/** By TLS, or a trusted proxy says so: `X-Forwarded-Proto` of anybody else is not looked at. */
const isHttps = (request: FastifyRequest) => /^https$/i.test(request.protocol)

/**
 * Over https the name makes browsers refuse what plain http or a neighbouring domain tries to set in its place; a cookie
 * of the plain name is not looked at there.
 */
export const cookieName = (request: FastifyRequest): string => (isHttps(request) ? '__Host-sid' : 'sid')

/** What the cookie is set with, and cleared with. */
export const cookieOptions = (request: FastifyRequest) =>
  ({ path: '/', httpOnly: true, sameSite: 'lax', secure: isHttps(request) }) as const

const CACHED_SIGNATURES = 10_000

/**
 * @fastify/cookie's signer, its HMACs remembered: a session that comes back costs none. The first secret signs, all
 * verify; there are none until the shared one has been read, and another one takes its place when Redis has lost it.
 */
export function cachedSigner(secrets: readonly string[], redis: RedisConnection) {
  let signer: Signer | undefined
  /** The secret that `signer` signs with. */
  let first: string | undefined
  /** Signed ids that were verified, and each of these ids as the first secret signs it. */
  const verified = new Map<string, string>()
  const signed = new Map<string, string>()
  const forget = () => {
    verified.clear()
    signed.clear()
  }
  const refresh = () => {
    if (secrets[0] === first) return
    first = secrets[0]
    signer = new Signer([...secrets], 'sha256')
    forget()
  }
  const ready = () => {
    if (!signer) throw stateUnavailable(redis.cause)
    return signer
  }
  return {
    sign: (id: string) => {
      refresh()
      return signed.get(id) ?? ready().sign(id)
    },
    unsign: (input: string) => {
      if (input === '') return { valid: false, renew: false, value: null }
      refresh()
      const known = verified.get(input)
      if (known !== undefined) return { valid: true, renew: false, value: known }
      const result = ready().unsign(input)
      // Only what is valid is remembered: nobody can fill the cache with guesses.
      if (result.valid && result.value !== null) {
        if (verified.size >= CACHED_SIGNATURES) forget()
        verified.set(input, result.value)
        signed.set(result.value, result.renew ? ready().sign(result.value) : input)
      }
      return result
    }
  }
}
