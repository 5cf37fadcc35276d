import { type AppOptions, DEFAULT_PATHS, type ServicePaths } from '../app-options.ts'
import type { RouteIndex } from './route-index.ts'

/** Decides which routes of the service exist. Create it when the app has registered its own, which come first. */
export class ServiceRoutes {
  readonly #index: RouteIndex
  readonly #paths: Required<ServicePaths>
  /** URLs that the service has claimed. */
  readonly #claimed = new Set<string>()
  /** URLs that the service leaves to the app. */
  readonly #left = new Set<string>()

  constructor(index: RouteIndex, { paths = {}, openapi }: AppOptions) {
    this.#index = index
    const none = openapi === false ? { openapi: false as const, docs: false as const } : {}
    this.#paths = { ...DEFAULT_PATHS, ...withoutUndefined(paths), ...none }
  }

  /** Returns the path that the options give to a route of the service, which the app may have; false: it is switched off. */
  pathOf(name: keyof ServicePaths): string | false {
    return this.#paths[name]
  }

  /**
   * Returns the path at which the service may register a route.
   * @returns false when the route is switched off, or when the app has a route there, with whatever method
   */
  claim(name: keyof ServicePaths): string | false {
    const path = this.#paths[name]
    return path !== false && this.claimUrl(path) && path
  }

  /** Whether the service may register routes with this URL: the app has none. */
  claimUrl(url: string): boolean {
    if (this.#claimed.has(url)) return true
    if (this.#index.has(url)) {
      this.#left.add(url)
      return false
    }
    this.#claimed.add(url)
    return true
  }

  /** URLs of the service at which the app has routes. */
  get leftToApp(): string[] {
    return [...this.#left]
  }
}

const withoutUndefined = (paths: ServicePaths): ServicePaths =>
  Object.fromEntries(Object.entries(paths).filter(([, path]) => path !== undefined))
