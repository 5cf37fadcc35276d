/**
 * What an app may say about the service around it: `export const muster` of its module, or the second argument of `defineApp`.
 * Everything that the service adds is on for an app that says nothing. docs/reference/app-options.md has an example of each.
 */
export interface AppOptions {
  /** What the default export is. Default: a function with parameters `(req, res)` is a listener, others are plugins. */
  kind?: 'plugin' | 'listener'
  /** Sessions for routes that do not say `config: { session: false }`. Default: true. */
  sessions?: boolean
  /** The security headers of every response, such as `Content-Security-Policy`, and `Cache-Control: no-store`. Default: true. */
  securityHeaders?: boolean
  /**
   * The `Content-Security-Policy` of HTML for which the app sets none; false: HTML has no policy. Default: the page may use its
   * own origin, and inline scripts and styles.
   */
  contentSecurityPolicy?: string | false
  /** Refuses requests of pages of other sites that change something. Default: true. */
  crossSiteCheck?: boolean
  /** RATE_LIMIT, and `config.rateLimit` of routes. Default: true. */
  rateLimit?: boolean
  /** Answers 405 instead of 404 for methods that a path lacks, and `OPTIONS` with those that it has. Default: true. */
  methodCheck?: boolean
  /** Refuses JSON bodies that are nested deeper than 100. Default: true. */
  jsonDepthCheck?: boolean
  /** What the OpenAPI document says about the app; false: there is no document and no `/docs`. */
  openapi?: OpenApiInfo | false
  /** Other paths for the routes of the service; false: the service does not have the route. */
  paths?: ServicePaths
}

/** The OpenAPI document describes the app by these texts. Defaults: name, version and description in the app's package.json. */
export interface OpenApiInfo {
  title?: string
  version?: string
  description?: string
}

/** Paths of the service's own routes. Each starts with a slash. */
export interface ServicePaths {
  /** Whether this worker responds. Default: `/livez`. */
  livez?: string | false
  /** Whether the service takes traffic. Default: `/readyz`. */
  readyz?: string | false
  /** The same as `readyz`. Default: `/healthz`. */
  healthz?: string | false
  /** Metrics for Prometheus. Default: `/metrics`. */
  metrics?: string | false
  /** The OpenAPI document as JSON. Default: `/docs/json`. */
  openapi?: string | false
  /** The OpenAPI document as a page; it exists with ADMIN_TOKEN or ADMIN_READ_TOKEN. Default: `/docs`. */
  docs?: string | false
  /** The console, and the prefix of the admin plane; both exist with ADMIN_TOKEN or ADMIN_READ_TOKEN. Default: `/admin`. */
  admin?: string | false
}

export const DEFAULT_PATHS = {
  livez: '/livez',
  readyz: '/readyz',
  healthz: '/healthz',
  metrics: '/metrics',
  openapi: '/docs/json',
  docs: '/docs',
  admin: '/admin'
} as const satisfies Required<ServicePaths>

/** Returns the options of both; where both say something, the stronger ones. */
export function mergeOptions(weaker: AppOptions, stronger: AppOptions): AppOptions {
  const merged = { ...weaker, ...stronger }
  if (weaker.paths && stronger.paths) merged.paths = { ...weaker.paths, ...stronger.paths }
  if (weaker.openapi && stronger.openapi) merged.openapi = { ...weaker.openapi, ...stronger.openapi }
  return merged
}

/**
 * Says what the service adds to an app: `export default defineApp(plugin, { sessions: false })`. The same as
 * `export const muster = { sessions: false }` beside the default export.
 * @param app a Fastify plugin, or another function that is an app
 * @returns the same function
 */
export function defineApp<App extends (...args: never[]) => unknown>(app: App, options: AppOptions): App {
  return Object.assign(app, { muster: options })
}
