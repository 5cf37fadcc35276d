import { fastifyCookie } from '@fastify/cookie'
import type { FastifyReply, FastifyRequest } from 'fastify'

const { parse, serialize } = fastifyCookie

/** Only TLS or a trusted proxy makes a request https; `X-Forwarded-Proto` from other clients is ignored. */
const isHttps = (request: FastifyRequest) => /^https$/i.test(request.protocol)

/**
 * The name of the session cookie. Over https the prefix `__Host-` makes browsers reject a cookie that plain http or a
 * neighbouring domain sets under this name; the plain name is ignored there.
 */
const nameOf = (isSecure: boolean) => (isSecure ? '__Host-sid' : 'sid')

/** Returns the value of the session cookie that the client sent. */
export function readCookie(request: FastifyRequest): string | undefined {
  const { cookie } = request.headers
  return cookie === undefined ? undefined : parse(cookie)[nameOf(isHttps(request))]
}

/** Sets the session cookie until `expires`. Other cookies of the answer stay. */
export function setCookie(request: FastifyRequest, reply: FastifyReply, value: string, expires: Date): void {
  append(request, reply, value, { expires })
}

/** Deletes the session cookie from the browser. */
export function clearCookie(request: FastifyRequest, reply: FastifyReply): void {
  append(request, reply, '', { expires: new Date(0), maxAge: 0 })
}

function append(request: FastifyRequest, reply: FastifyReply, value: string, end: { expires: Date; maxAge?: number }) {
  const secure = isHttps(request)
  const cookie = serialize(nameOf(secure), value, { path: '/', httpOnly: true, sameSite: 'lax', secure, ...end })
  void reply.header('set-cookie', cookie)
}
