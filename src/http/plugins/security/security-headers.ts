import type { IncomingMessage, ServerResponse } from 'node:http'
import helmet from 'helmet'
import { StaticHeaders } from './static-headers.ts'

const helmetOptions = {
  // Of what is no page: nothing may be loaded, framed or sent from it. A page sets a policy of its own.
  contentSecurityPolicy: {
    useDefaults: false,
    directives: { defaultSrc: ["'none'"], baseUri: ["'none'"], formAction: ["'none'"], frameAncestors: ["'none'"] }
  },
  xFrameOptions: { action: 'deny' },
  // Set by `headersFor`, where it has a meaning.
  strictTransportSecurity: false,
  // For browsers that nobody has any more, or about what is no matter here.
  originAgentCluster: false,
  xDnsPrefetchControl: false,
  xDownloadOptions: false,
  xPermittedCrossDomainPolicies: false,
  xXssProtection: false
} as const

/**
 * On every answer, by lower-case name; a handler that sets one of them by `reply.header` has the last word, and an empty
 * value says nothing. Helmet says what they are, once: asked for each request, as @fastify/helmet does, it nearly doubles
 * what a small answer costs.
 */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = Object.freeze(collect())

function collect(): Record<string, string> {
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

/** Two years, and not for subdomains, which are not ours to speak for. Browsers heed it over TLS only. */
const STRICT = { 'strict-transport-security': 'max-age=63072000' }

const plain = new StaticHeaders(SECURITY_HEADERS)
const overTls = new StaticHeaders({ ...SECURITY_HEADERS, ...STRICT })

/** Those of a request. */
export const securityHeaders = (isHttps: boolean): StaticHeaders => (isHttps ? overTls : plain)
