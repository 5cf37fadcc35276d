import type { FastifyInstance, FastifyRequest } from 'fastify'
import { HttpError } from '../../../common/errors.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /**
     * Pages of other sites may use the route, though it changes something or opens a WebSocket: it must not trust the
     * session alone.
     */
    crossSite?: true
  }
}

const SAFE = new Set(['GET', 'HEAD', 'OPTIONS'])

/** Requests that a page of another site may make a browser send: they change nothing, and that page cannot read the answer. */
const isHarmless = ({ method, headers }: FastifyRequest) => SAFE.has(method) && headers.upgrade === undefined

/**
 * Refuses requests of pages of other sites that change something or open a WebSocket. A WebSocket begins as a GET, sends
 * the visitor's cookies, and its page may read what comes back, whatever the site: only `Origin` tells.
 */
export function refuseCrossSite(scope: FastifyInstance): void {
  scope.addHook('onRequest', (request, _reply, done) => {
    if (isHarmless(request) || isOwnSite(request) || request.routeOptions.config.crossSite) return done()
    done(new HttpError(403, 'CROSS_SITE', 'This cannot be done from a page of another site'))
  })
}

/**
 * Whether a request comes from a page of this service, or from no page: browsers say where from, and no page can make them
 * lie. Who says nothing is no browser, and has nobody's cookies.
 */
export function isOwnSite({ headers, host }: FastifyRequest): boolean {
  const site = headers['sec-fetch-site']
  if (site !== undefined) return site === 'same-origin' || site === 'none'
  const { origin } = headers
  if (origin === undefined) return true
  if (!URL.canParse(origin)) return false
  // By host: a proxy that takes TLS off and is not trusted makes the scheme another one. As URLs, so that the port that
  // goes without saying goes without saying in both.
  const from = new URL(origin)
  const here = `${from.protocol}//${host}`
  return URL.canParse(here) && from.host === new URL(here).host
}
