import type { FastifyInstance } from 'fastify'
import FindMyWay, { type Config, type HTTPVersion, type Instance } from 'find-my-way'

/** A route, whatever its methods. */
export interface IndexedRoute {
  /** The template, such as `/things/:id`. */
  url: string
  methods: Set<string>
}

/** A last parameter that may be missing: `/things/:id?` stands for `/things` and `/things/:id`. */
const OPTIONAL_PARAMETER = /(\/:[^/()]*?)\?(\/?)$/

/**
 * All routes by their URL. Fastify's own router has one tree per method and cannot tell which methods a path has.
 * Create it before the first route.
 */
export class RouteIndex {
  readonly #router: Instance<HTTPVersion.V1>
  /** What `on` of the router does to a URL, but `findRoute` does not. */
  readonly #normalize: (url: string) => string

  constructor(app: FastifyInstance) {
    const { caseSensitive, ignoreTrailingSlash, ignoreDuplicateSlashes, maxParamLength, useSemicolonDelimiter } = app
      .initialConfig.routerOptions as Required<Config<HTTPVersion.V1>> & { useSemicolonDelimiter: boolean }
    this.#router = FindMyWay({
      ...{ caseSensitive, ignoreTrailingSlash, ignoreDuplicateSlashes, maxParamLength, useSemicolonDelimiter },
      // Fastify's router has already accepted or refused the expression.
      allowUnsafeRegex: true
    })
    this.#normalize = (url) => {
      const path = ignoreDuplicateSlashes ? FindMyWay.removeDuplicateSlashes(url) : url
      return ignoreTrailingSlash ? FindMyWay.trimLastSlash(path) : path
    }
    app.addHook('onRoute', ({ url, method }) => {
      const urls = OPTIONAL_PARAMETER.test(url)
        ? [url.replace(OPTIONAL_PARAMETER, '$1$2'), url.replace(OPTIONAL_PARAMETER, '$2') || '/']
        : [url]
      for (const one of urls) this.#add(one, [method].flat())
    })
  }

  #add(url: string, methods: readonly string[]): void {
    const known = this.#routeAt(url)
    const route = known ?? { url, methods: new Set() }
    for (const method of methods) route.methods.add(method)
    if (known) return
    try {
      this.#router.on('GET', url, () => {}, route)
    } catch {
      // Templates that differ only in the expression of a parameter share one tree here, and only the first is found.
    }
  }

  #routeAt(url: string): IndexedRoute | undefined {
    return this.#router.findRoute('GET', this.#normalize(url))?.store as IndexedRoute | undefined
  }

  /** Whether there is a route with this URL. Parameters may have other names. A wildcard has only its own URL. */
  has(url: string): boolean {
    return this.#routeAt(url) !== undefined
  }

  /**
   * Finds the route of a path.
   * @param path may have a query
   * @returns undefined when there is none, or only a wildcard
   */
  find(path: string): IndexedRoute | undefined {
    const route = this.#router.find('GET', path)?.store as IndexedRoute | undefined
    return route?.url.includes('*') ? undefined : route
  }
}
