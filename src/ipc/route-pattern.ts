/** A set of requests: a method, and a route template or a pattern of paths. */
export interface RoutePattern {
  /** Upper case. */
  method: string
  /**
   * Begins with a slash. A segment `:name` or `*` stands for any one segment, and a last `*` for the rest of the path. Other
   * segments are literal.
   */
  path: string
}

const ROUTE = /^([A-Za-z][A-Za-z-]{0,31}) (\/[^\s?#]{0,255})$/

/** Parses text such as `POST /todos/:id`. @returns undefined when it is not a method, a space and a path */
export function parseRoute(text: string): RoutePattern | undefined {
  const [, method, path] = ROUTE.exec(text) ?? []
  return method && path ? { method: method.toUpperCase(), path } : undefined
}

/** @returns the text that {@link parseRoute} parses */
export const routeText = ({ method, path }: RoutePattern): string => `${method} ${path}`

/** @param path of a request, without its query */
export function matchesPath(pattern: string, path: string): boolean {
  const wanted = pattern.split('/')
  const given = path.split('/')
  const last = wanted.length - 1
  if (wanted[last] === '*' ? given.length < wanted.length : given.length !== wanted.length) return false
  return wanted.every((segment, i) => segment === given[i] || segment === '*' || segment.startsWith(':'))
}
