import type { FastifyServerOptions } from 'fastify'

interface Refusal {
  /** Values that change nothing. */
  harmless: readonly unknown[]
  /** What to do instead. */
  instead: string
}

const OFF = [false, null] as const

/** Options of Fastify that the service decides, by name. `undefined` is always harmless. */
const REFUSED: Record<string, Refusal> = {
  logger: { harmless: [true, ...OFF], instead: 'the log is that of the service: set LOG_LEVEL' },
  loggerInstance: { harmless: [], instead: 'the log is that of the service: set LOG_LEVEL, and log with app.log' },
  logController: { harmless: [], instead: 'the service logs one line per request: set config.quiet of routes' },
  disableRequestLogging: {
    harmless: OFF,
    instead: 'the service logs one line per request: set config.quiet of routes, or LOG_LEVEL=warn'
  },
  http: {
    harmless: [null],
    instead: 'the server is that of the service: HEADERS_TIMEOUT, HEADER_LIMIT and others limit it'
  },
  https: { harmless: OFF, instead: 'set TLS_CERT and TLS_KEY' },
  http2: { harmless: OFF, instead: 'set TLS_CERT and TLS_KEY: clients may then use HTTP/2' },
  http2SessionTimeout: { harmless: [], instead: 'set KEEP_ALIVE_TIMEOUT' },
  serverFactory: { harmless: [], instead: 'the server is that of the service, which passes connections to workers' },
  trustProxy: { harmless: OFF, instead: 'set TRUST_PROXY to the addresses of the proxies' },
  connectionTimeout: { harmless: [0], instead: 'set SEND_TIMEOUT and KEEP_ALIVE_TIMEOUT' },
  keepAliveTimeout: { harmless: [], instead: 'set KEEP_ALIVE_TIMEOUT' },
  requestTimeout: { harmless: [0], instead: 'set REQUEST_TIMEOUT' },
  maxRequestsPerSocket: { harmless: [0, null], instead: 'set MAX_REQUESTS_PER_CONNECTION' },
  forceCloseConnections: {
    harmless: [false, 'idle'],
    instead: 'a worker that ends transfers its connections, and cuts the rest after DRAIN_TIMEOUT'
  },
  clientErrorHandler: {
    harmless: [],
    instead: 'the service answers what is not HTTP, in the JSON shape of all errors'
  }
}

/** The names of the options that cannot be honoured. */
export const REFUSED_OPTIONS: readonly string[] = Object.keys(REFUSED)

/**
 * Checks the options of Fastify that the app's module exports. Options that are not listed are passed to Fastify.
 * @param name of the object, such as `options`
 * @returns all options that cannot be honoured, as sentences that say what to do instead
 */
export function issuesOfServerOptions(options: unknown, name = 'options'): string[] {
  if (typeof options !== 'object' || options === null) return [`${name} must be an object with options of Fastify`]
  return Object.entries(options).flatMap(([key, value]) => {
    const refusal = Object.hasOwn(REFUSED, key) ? REFUSED[key]! : undefined
    if (!refusal || value === undefined || refusal.harmless.includes(value)) return []
    return [`${name}.${key} cannot be honoured: ${refusal.instead}`]
  })
}

/** Options of the router, which Fastify 5 also accepts beside `routerOptions`, with a warning. */
const ROUTER_KEYS = new Set([
  'allowUnsafeRegex',
  'caseSensitive',
  'constraints',
  'ignoreDuplicateSlashes',
  'ignoreTrailingSlash',
  'maxParamLength',
  'querystringParser',
  'useSemicolonDelimiter'
])

/** Returns the options that Fastify gets: without those that the service decides, and with `routerOptions`. */
export function passedServerOptions(options: FastifyServerOptions): FastifyServerOptions {
  const entries = Object.entries(options).filter(([key]) => !Object.hasOwn(REFUSED, key))
  const routerOptions = Object.fromEntries(entries.filter(([key]) => ROUTER_KEYS.has(key)))
  return {
    ...Object.fromEntries(entries.filter(([key]) => !ROUTER_KEYS.has(key))),
    routerOptions: { ...routerOptions, ...options.routerOptions }
  }
}
