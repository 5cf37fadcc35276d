/**
 * What an app may say about the service around it: `export const muster` of its module, or the second argument of `defineApp`.
 * Everything that the service adds is on for an app that says nothing.
 */
export interface AppOptions {
  /** Sessions for routes that do not say `config: { session: false }`. Default: true. */
  sessions?: boolean
  /** Headers such as `Content-Security-Policy` in every response. Default: true. */
  securityHeaders?: boolean
  /** `Content-Security-Policy` of HTML for which the app sets none; default: the page may use its own origin only. */
  contentSecurityPolicy?: string
  /** Refuses pages of other sites that change something. Default: true. */
  crossSiteCheck?: boolean
  /** RATE_LIMIT, and `config.rateLimit` of routes. Default: true. */
  rateLimit?: boolean
  /** Answers 405 and OPTIONS for paths that have other methods only. Default: true. */
  methodCheck?: boolean
  /** The limits of JSON bodies: depth, and keys that change prototypes. Default: true. */
  jsonLimits?: boolean
  /** The OpenAPI document; false: none. */
  openapi?: false | { title?: string; version?: string; description?: string }
  /** Other paths for routes of the service; false: the route does not exist. */
  paths?: {
    livez?: string | false
    readyz?: string | false
    healthz?: string | false
    metrics?: string | false
    /** The OpenAPI document; default: `/docs/json`. */
    openapi?: string | false
  }
}
