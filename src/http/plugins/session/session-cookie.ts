import type { FastifyRequest } from 'fastify'

/** Only TLS or a trusted proxy makes a request https; `X-Forwarded-Proto` from other clients is ignored. */
const isHttps = (request: FastifyRequest) => /^https$/i.test(request.protocol)

/**
 * The name of the session cookie. Over https the prefix `__Host-` makes browsers reject a cookie that plain http or a
 * neighbouring domain sets under this name; the plain name is ignored there.
 */
export const cookieName = (request: FastifyRequest): string => (isHttps(request) ? '__Host-sid' : 'sid')

/** The attributes with which the cookie is set and cleared. */
export const cookieOptions = (request: FastifyRequest) =>
  ({ path: '/', httpOnly: true, sameSite: 'lax', secure: isHttps(request) }) as const
