import type { IncomingMessage } from 'node:http'
import { HttpError, MethodNotAllowedError } from '../../../common/errors.ts'
import type { Forwarded } from '../../../net/forwarded-headers.ts'

/** Maximum length of a request target, in bytes. RFC 9112 recommends at least 8000. */
export const MAX_TARGET = 8192
/** Maximum number of header fields. Node silently drops fields beyond its own limit. */
const MAX_FIELDS = 100
/** Fields that must not be repeated: one reader would use the first, another the last, and they would see two requests. */
const SINGLE_FIELDS = new Set([
  'host',
  'content-type',
  'authorization',
  'origin',
  'sec-fetch-site',
  'x-forwarded-proto'
])
/** uri-host [ ":" port ] of RFC 3986. */
const HOST = /^(?:\[[\da-f:.]+\]|(?:[\w.~!$&'()*+,;=-]|%[\da-f]{2})+)(?::\d{0,5})?$/i

/** The methods that routes may have. */
export const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const

/** A target in absolute form, as proxies send it. Captures the authority without user information. */
const ABSOLUTE = /^https?:\/\/(?:[^/?@]*@)?([^/?@]+)(?:[/?]|$)/i

const badRequest = (message: string) => new HttpError(400, 'BAD_REQUEST', message)

/**
 * Checks the rules of HTTP that Node's parser does not enforce.
 * @param isSupported whether the app can route a method
 * @returns the refusal; undefined when the request is valid. Close the connection with a refusal: the boundary of the next
 * request is uncertain.
 */
export function checkRequest(
  request: IncomingMessage,
  isSupported: (method: string) => boolean
): HttpError | undefined {
  const { method = '', url = '', headers, httpVersionMajor, httpVersionMinor } = request
  // The HTTP/1.1 parser accepts "HTTP/2.0" in a request line. Only requests of HTTP/2 have a stream.
  if (httpVersionMajor !== ('stream' in request ? 2 : 1)) {
    return new HttpError(505, 'HTTP_VERSION', 'Supported versions are HTTP/1.1 and, over TLS, HTTP/2')
  }
  if (url.length > MAX_TARGET) return new HttpError(414, 'URI_TOO_LONG', 'The request target is too long')
  if (method === 'TRACE' || method === 'CONNECT') return new MethodNotAllowedError(method, url, METHODS.join(', '))
  if (!isSupported(method)) return new HttpError(501, 'NOT_IMPLEMENTED', `The method ${method} is not supported`)
  const refusal = checkFields(request.rawHeaders, headers) ?? checkTransferEncoding(headers, httpVersionMinor)
  if (refusal) return refusal
  if (!hasValidHost(headers, httpVersionMajor, httpVersionMinor)) {
    return badRequest('The request needs one valid Host header')
  }
  if (url === '*' && method !== 'OPTIONS') return badRequest('Only OPTIONS accepts the target *')
  if (url[0] !== '/' && url !== '*' && !HOST.test(authorityOf(request))) {
    return badRequest('The request target is not valid')
  }
  return undefined
}

function checkTransferEncoding(headers: IncomingMessage['headers'], httpVersionMinor: number): HttpError | undefined {
  const coding = headers['transfer-encoding']
  if (coding === undefined) return undefined
  if (httpVersionMinor === 0) return badRequest('HTTP/1.0 does not allow Transfer-Encoding')
  if (coding === '') return badRequest('Transfer-Encoding is empty')
  if (/^chunked$/i.test(coding)) return undefined
  return new HttpError(501, 'NOT_IMPLEMENTED', 'The only supported Transfer-Encoding is chunked')
}

/** The authority of a target in absolute form; empty for other forms. HTTP/2 has no absolute form. */
function authorityOf({ url = '', httpVersionMajor }: IncomingMessage): string {
  return (httpVersionMajor === 1 && ABSOLUTE.exec(url)?.[1]) || ''
}

/**
 * Replaces the Host header by the host of a target in absolute form, as RFC 9112 3.2.2 requires.
 * @param request one that {@link checkRequest} has accepted
 */
export function preferTargetHost(request: IncomingMessage): void {
  if (request.url?.[0] === '/') return
  const authority = authorityOf(request)
  if (authority) request.headers.host = authority
}

/**
 * Checks what a trusted proxy says. A header that cannot be parsed is refused, because it would hide the client's address.
 * @returns the refusal; undefined when the headers are valid
 */
export function checkForwarded({ host, malformed }: Forwarded): HttpError | undefined {
  if (malformed) return badRequest('The Forwarded header does not follow RFC 7239')
  if (host !== undefined && !HOST.test(host)) return badRequest('The forwarded host is not valid')
  return undefined
}

/** HTTP/2 has `:authority`. A Host header beside it must be equal. Only HTTP/1.0 may omit the host. */
function hasValidHost(headers: IncomingMessage['headers'], major: number, minor: number): boolean {
  const { host } = headers
  if (major === 1) return host === undefined ? minor === 0 : HOST.test(host)
  const { ':authority': authority = host } = headers
  return typeof authority === 'string' && HOST.test(authority) && (host === undefined || host === authority)
}

/**
 * Refuses too many fields, and repeated ones of {@link SINGLE_FIELDS}.
 * @param fields names and values alternating, as received
 * @param headers the same fields, each name once
 */
function checkFields(fields: string[], headers: IncomingMessage['headers']): HttpError | undefined {
  if (fields.length > 2 * MAX_FIELDS) return new HttpError(431, 'TOO_MANY_HEADERS', 'Too many header fields')
  // Usually no field is repeated, which the counts show.
  if (Object.keys(headers).length === fields.length / 2) return undefined
  const seen = new Set<string>()
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!.toLowerCase()
    if (!SINGLE_FIELDS.has(name)) continue
    if (seen.has(name)) return badRequest(`The header ${name} is repeated`)
    seen.add(name)
  }
  return undefined
}
