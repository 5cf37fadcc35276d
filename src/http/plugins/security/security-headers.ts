import type { IncomingMessage, ServerResponse } from 'node:http'
import helmet from 'helmet'
import { StaticHeaders } from './static-headers.ts'

const helmetOptions = {
  // For answers that are not pages: nothing may be loaded, framed or submitted. Pages set their own policy.
  contentSecurityPolicy: {
    useDefaults: false,
    directives: { defaultSrc: ["'none'"], baseUri: ["'none'"], formAction: ["'none'"], frameAncestors: ["'none'"] }
  },
  xFrameOptions: { action: 'deny' },
  // `securityHeaders` adds it over https.
  strictTransportSecurity: false,
  // For obsolete browsers, or irrelevant here.
  originAgentCluster: false,
  xDnsPrefetchControl: false,
  xDownloadOptions: false,
  xPermittedCrossDomainPolicies: false,
  xXssProtection: false
} as const

/**
 * The headers of every answer that is no document, by lower-case name. A handler can replace one with `reply.header`; an empty value removes it.
 * Helmet is asked once: asking it for each request, as @fastify/helmet does, nearly doubles the cost of a small answer.
 */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = Object.freeze(headersOfHelmet())

/** Lets helmet's middleware write its headers into an object. */
function headersOfHelmet(): Record<string, string> {
  const headers: Record<string, string> = { 'cache-control': 'no-store' }
  const response = {
    setHeader: (name: string, value: string) => {
      headers[name.toLowerCase()] = value
    },
    removeHeader: () => {}
  }
  helmet(helmetOptions)({} as IncomingMessage, response as unknown as ServerResponse, () => {})
  return headers
}

/** Two years; without subdomains, for which this service cannot decide. Browsers ignore the header over http. */
const HTTPS_ONLY = { 'strict-transport-security': 'max-age=63072000' }

/**
 * The default policy of HTML for which the app sets none. It allows what pages usually do: their own origin, with WebSockets,
 * inline scripts and styles, and content that scripts make (`data:`, `blob:`). Other origins are refused.
 */
const DOCUMENT_POLICY = [
  "default-src 'self'",
  "script-src 'self' 'unsafe-inline'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data: blob:",
  "font-src 'self' data: blob:",
  "media-src 'self' data: blob:",
  "worker-src 'self' blob:",
  "connect-src 'self' data: blob:",
  "object-src 'none'",
  "base-uri 'self'",
  "frame-ancestors 'self'"
].join('; ')

/**
 * Headers whose default would break usual pages. Without a referrer, forms send `Origin: null`. An opener of another origin is
 * a sign-in at another site.
 */
const DOCUMENT_HEADERS = {
  'cross-origin-opener-policy': 'same-origin-allow-popups',
  'referrer-policy': 'strict-origin-when-cross-origin',
  'x-frame-options': 'SAMEORIGIN'
}

/** Headers of the service's own pages, which need none of {@link DOCUMENT_HEADERS}. */
export const OWN_PAGE_HEADERS = pick(SECURITY_HEADERS, ['content-security-policy', ...Object.keys(DOCUMENT_HEADERS)])

/** Returns the headers of a response. Documents, such as HTML, have others. */
export type SecurityHeaders = (isHttps: boolean) => StaticHeaders

/**
 * @param policy the `Content-Security-Policy` of documents; false: they have none
 * @param omitted names of headers that no response gets
 */
export function createSecurityHeaders(
  policy: string | false = DOCUMENT_POLICY,
  omitted: readonly string[] = []
): SecurityHeaders {
  const names = Object.keys(SECURITY_HEADERS).filter((name) => !omitted.includes(name))
  const headers = pick(SECURITY_HEADERS, names)
  const documents = { ...DOCUMENT_HEADERS, 'content-security-policy': policy || '' }
  const overHttp = new StaticHeaders(headers, documents)
  const overHttps = new StaticHeaders({ ...headers, ...HTTPS_ONLY }, documents)
  return (isHttps) => (isHttps ? overHttps : overHttp)
}

/** Returns the headers of an answer that comes from no route, and is JSON. */
export const refusalHeaders = (isHttps: boolean): Readonly<Record<string, string>> =>
  isHttps ? { ...SECURITY_HEADERS, ...HTTPS_ONLY } : SECURITY_HEADERS

function pick(headers: Readonly<Record<string, string>>, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, headers[name]!]))
}
