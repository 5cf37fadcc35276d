import type { IncomingMessage } from 'node:http'
import { HttpError, MethodNotAllowedError } from '../../../common/errors.ts'
import type { Forwarded } from '../../../net/forwarded-headers.ts'

/** Longest request target, in bytes: RFC 9112 asks for 8000 at least. */
export const MAX_TARGET = 8192
/** Most header fields: past some number of its own, node drops them without a word. */
const MAX_FIELDS = 100
/** Where a second one was let through, whoever reads the first and whoever reads the last would see two requests. */
const ONCE = new Set(['host', 'content-type', 'authorization', 'origin', 'sec-fetch-site', 'x-forwarded-proto'])
/** uri-host [ ":" port ] of RFC 3986. */
const HOST = /^(?:\[[\da-f:.]+\]|(?:[\w.~!$&'()*+,;=-]|%[\da-f]{2})+)(?::\d{0,5})?$/i

/** The methods that routes have here. */
export const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const

/** The absolute form that proxies use, of which the authority is caught, without the user that may stand before it. */
const ABSOLUTE = /^https?:\/\/(?:[^/?@]*@)?([^/?@]+)(?:[/?]|$)/i

const bad = (message: string) => new HttpError(400, 'BAD_REQUEST', message)

/**
 * What HTTP asks of a request and node's parser does not see to.
 * @param isMethod whether a method is one that the app can route
 * @returns why it is refused; the connection is to be closed with it, as the next request may not be where it seems
 */
export function refusalOf(request: IncomingMessage, isMethod: (method: string) => boolean): HttpError | undefined {
  const { method = '', url = '', headers, httpVersionMajor, httpVersionMinor } = request
  // Node's parser of HTTP/1.1 lets "HTTP/2.0" pass in a request line; only requests of HTTP/2 have a stream.
  if (httpVersionMajor !== ('stream' in request ? 2 : 1)) {
    return new HttpError(505, 'HTTP_VERSION', 'This is served as HTTP/1.1 and, over TLS, HTTP/2 only')
  }
  if (url.length > MAX_TARGET) return new HttpError(414, 'URI_TOO_LONG', 'The address is too long')
  if (method === 'TRACE' || method === 'CONNECT') return new MethodNotAllowedError(method, url, METHODS.join(', '))
  if (!isMethod(method)) return new HttpError(501, 'NOT_IMPLEMENTED', `${method} is no method of this service`)
  const doubt = repeated(request.rawHeaders, headers)
  if (doubt) return doubt
  const coding = headers['transfer-encoding']
  if (coding !== undefined) {
    if (httpVersionMinor === 0) return bad('HTTP/1.0 has no Transfer-Encoding')
    if (coding === '') return bad('Transfer-Encoding is empty')
    if (!/^chunked$/i.test(coding)) return new HttpError(501, 'NOT_IMPLEMENTED', 'Only chunked is read')
  }
  if (!isNamed(headers, httpVersionMajor, httpVersionMinor)) return bad('Host must name this service')
  if (url === '*' && method !== 'OPTIONS') return bad('Only OPTIONS is about the whole service')
  if (url[0] !== '/' && url !== '*' && !HOST.test(authorityOf(request)))
    return bad('This is no address of this service')
  return undefined
}

/** The host that the absolute form of a target names; empty for other forms. HTTP/2 has no such form. */
function authorityOf({ url = '', httpVersionMajor }: IncomingMessage): string {
  return (httpVersionMajor === 1 && ABSOLUTE.exec(url)?.[1]) || ''
}

/**
 * Puts the host of a target in absolute form in the place of `Host`, which then must be ignored (RFC 9112 3.2.2).
 * @param request one that {@link refusalOf} lets pass
 */
export function preferTarget(request: IncomingMessage): void {
  if (request.url?.[0] === '/') return
  const authority = authorityOf(request)
  if (authority) request.headers.host = authority
}

/** A host that a trusted proxy names must be one; a header that cannot be read would hide who the client is. */
export function forwardedRefusal({ host, malformed }: Forwarded): HttpError | undefined {
  if (malformed) return bad('Forwarded must be as RFC 7239 has it')
  if (host !== undefined && !HOST.test(host)) return bad('The forwarded host must name this service')
  return undefined
}

/** In HTTP/2 the name is `:authority`; where there is a Host beside it, both must be the same. */
function isNamed(headers: IncomingMessage['headers'], major: number, minor: number): boolean {
  const { host } = headers
  if (major === 1) return host === undefined ? minor === 0 : HOST.test(host)
  const { ':authority': authority = host } = headers
  return typeof authority === 'string' && HOST.test(authority) && (host === undefined || host === authority)
}

/** @param fields names and values in turn, as they came @param headers the same by name, each name once */
function repeated(fields: string[], headers: IncomingMessage['headers']): HttpError | undefined {
  if (fields.length > 2 * MAX_FIELDS) return new HttpError(431, 'TOO_MANY_HEADERS', 'There are too many header fields')
  // As a rule nothing is there twice, and that is told by counting.
  if (Object.keys(headers).length === fields.length / 2) return undefined
  let seen: string[] | undefined
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!.toLowerCase()
    if (!ONCE.has(name)) continue
    if (seen?.includes(name)) return bad(`There is more than one ${name}`)
    if (seen) seen.push(name)
    else seen = [name]
  }
  return undefined
}
