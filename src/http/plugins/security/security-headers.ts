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
 * The headers of every answer, by lower-case name. A handler can replace one with `reply.header`; an empty value removes it.
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

const overHttp = new StaticHeaders(SECURITY_HEADERS)
const overHttps = new StaticHeaders({ ...SECURITY_HEADERS, ...HTTPS_ONLY })

/** Returns the headers for an answer. */
export const securityHeaders = (isHttps: boolean): StaticHeaders => (isHttps ? overHttps : overHttp)
