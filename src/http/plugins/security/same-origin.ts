import type { FastifyInstance, FastifyRequest } from 'fastify'
import { HttpError } from '../../../common/errors.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /**
     * Pages of other sites may use the route, although it changes something or opens a WebSocket. Such a route must not trust
     * the session alone.
     */
    crossSite?: true
  }
}

const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS'])

/** A page of another site may send these requests: they change nothing, and the page cannot read the answer. */
const isHarmless = ({ method, headers }: FastifyRequest) => SAFE_METHODS.has(method) && headers.upgrade === undefined

/**
 * Refuses requests from pages of other sites that change something or open a WebSocket. A WebSocket starts as a GET and sends
 * the visitor's cookies, and the page may read the answers; only `Origin` tells which site the page belongs to.
 */
export function refuseCrossSite(scope: FastifyInstance): void {
  scope.addHook('onRequest', (request, _reply, done) => {
    if (isHarmless(request) || isOwnSite(request) || request.routeOptions.config.crossSite) return done()
    done(new HttpError(403, 'CROSS_SITE', 'Pages of other sites may not do this'))
  })
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
