import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { HttpError } from '../../../common/errors.ts'
import { addRouteHook } from '../route-hook.ts'

const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS'])
/** Schemes of `Authorization` that a browser may add by itself. Tokens such as `Bearer` are sent only by code that has them. */
const AMBIENT_SCHEME = /^\s*(?:basic|digest|negotiate|ntlm)\b/i

/** A page of another site may send these requests: they change nothing, and the page cannot read the answer. */
const isHarmless = ({ method, headers }: FastifyRequest) => SAFE_METHODS.has(method) && headers.upgrade === undefined

/**
 * Refuses requests from pages of other sites that change something or open a WebSocket, unless @fastify/cors or other code of
 * the app allows the page. A WebSocket starts as a GET and sends the visitor's cookies, and the page may read the answers; only
 * `Origin` tells which site the page belongs to.
 */
export function refuseCrossSite(scope: FastifyInstance): void {
  // On the routes, so that it runs after the hooks of the app that set CORS headers.
  scope.addHook('onRoute', (route) => addRouteHook(route, 'onRequest', check, 'first'))
  // Not-found handlers have no route.
  scope.addHook('preParsing', (request, reply, _payload, done) =>
    request.is404 ? check(request, reply, done) : done()
  )
}

const check = (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void) => {
  if (isHarmless(request) || isOwnSite(request) || request.routeOptions.config.crossSite) return done()
  if (isAllowedByCors(request, reply)) return done()
  done(new HttpError(403, 'CROSS_SITE', 'Pages of other sites may not do this'))
}

/**
 * Whether the CORS headers that are already set let the page send this request and read the answer, by the rules of the Fetch
 * standard. Browsers apply these rules to no WebSocket.
 */
function isAllowedByCors({ headers }: FastifyRequest, reply: FastifyReply): boolean {
  const allowed = reply.getHeader('access-control-allow-origin')
  if (allowed === undefined || headers.origin === undefined || headers.upgrade !== undefined) return false
  if (allowed !== '*' && allowed !== headers.origin) return false
  const hasCredentials = headers.cookie !== undefined || AMBIENT_SCHEME.test(headers.authorization ?? '')
  return !hasCredentials || (allowed !== '*' && reply.getHeader('access-control-allow-credentials') === 'true')
}

/**
 * Whether a request comes from a page of this service, or from no page at all. Browsers declare the site of the page, and a
 * page cannot change that. A client that declares nothing is not a browser and has no visitor's cookies.
 */
export function isOwnSite({ headers, host }: FastifyRequest): boolean {
  const site = headers['sec-fetch-site']
  if (site !== undefined) return site === 'same-origin' || site === 'none'
  const { origin } = headers
  if (origin === undefined) return true
  if (!URL.canParse(origin)) return false
  // Compares hosts only: behind a proxy that terminates TLS and is not trusted, the schemes differ. Parsing both as URLs
  // removes default ports.
  const source = new URL(origin)
  const own = `${source.protocol}//${host}`
  return URL.canParse(own) && source.host === new URL(own).host
}
