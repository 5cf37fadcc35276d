import { matchesPath } from '../../ipc/route-pattern.ts'
import type { Sighting } from '../../ipc/sightings.ts'

/** A set of requests that may have ended workers: a route, or the paths of a route that fit a pattern. */
export interface Candidate {
  method: string
  /** The route template. */
  route: string
  /** Narrower than the route; undefined: every request of the route. */
  pattern: string | undefined
}

/** With more segments, only the path itself and its beginnings are patterns. */
const MAX_MASKED_SEGMENTS = 4
/** Patterns of one route. Those of the latest paths count. */
const MAX_PATTERNS = 200

export const routeKey = ({ method, route }: Pick<Sighting, 'method' | 'route'>): string => `${method} ${route}`

/** The samples in which each path of each route was in flight. */
export type SampleIndex = ReadonlyMap<string, ReadonlyMap<string, readonly number[]>>

export function indexSamples(samples: readonly (readonly Sighting[])[]): SampleIndex {
  const index = new Map<string, Map<string, number[]>>()
  for (const [i, sample] of samples.entries()) {
    for (const sighting of sample) {
      const ofRoute = index.get(routeKey(sighting)) ?? new Map<string, number[]>()
      index.set(routeKey(sighting), ofRoute)
      const ofPath = ofRoute.get(sighting.path)
      if (ofPath) ofPath.push(i)
      else ofRoute.set(sighting.path, [i])
    }
  }
  return index
}

/** @returns the number of samples in which the candidate was in flight */
export function countSamples(index: SampleIndex, { pattern, ...route }: Candidate): number {
  const found = new Set<number>()
  for (const [path, samples] of index.get(routeKey(route)) ?? []) {
    if (pattern === undefined || matchesPath(pattern, path)) for (const i of samples) found.add(i)
  }
  return found.size
}

export const fits = ({ method, route, pattern }: Candidate, sighting: Sighting): boolean =>
  sighting.method === method &&
  sighting.route === route &&
  (pattern === undefined || matchesPath(pattern, sighting.path))

/** Whether the route takes every path, such as the one of a mounted app: then it is never a candidate as a whole. */
export const isCatchAll = (route: string): boolean => route === '' || route === '*' || route === '/*'

/** Whether requests of the route can have different paths. */
const hasPatterns = (route: string) => isCatchAll(route) || /[:*]/.test(route)

/**
 * Lists every route that was in flight at a death, and patterns of the paths that were: the paths, and what becomes of them when
 * segments are replaced by `*`, or when `*` replaces their end.
 * @param deaths the requests that were in flight at each death, the oldest first
 */
export function candidatesOf(deaths: readonly (readonly Sighting[])[]): Candidate[] {
  const routes = new Map<string, { candidate: Candidate; patterns: Set<string> }>()
  for (const { method, route, path } of deaths.toReversed().flat()) {
    const key = routeKey({ method, route })
    const known = routes.get(key) ?? { candidate: { method, route, pattern: undefined }, patterns: new Set() }
    routes.set(key, known)
    if (!hasPatterns(route)) continue
    for (const pattern of patternsOf(path)) if (known.patterns.size < MAX_PATTERNS) known.patterns.add(pattern)
  }
  return [...routes.values()].flatMap(({ candidate, patterns }) => {
    const whole = candidate.route.replace(/:[^/]+/g, '*')
    const narrower = [...patterns].filter((pattern) => pattern !== whole)
    const all = narrower.map((pattern) => ({ ...candidate, pattern }))
    return isCatchAll(candidate.route) ? all : [candidate, ...all]
  })
}

/** @returns the path and more general patterns, whose first segment is that of the path */
export function patternsOf(path: string): string[] {
  const segments = path.split('/').slice(1)
  const beginnings = segments.slice(1).map((_, i) => `/${segments.slice(0, i + 1).join('/')}/*`)
  const masked = segments.length <= MAX_MASKED_SEGMENTS ? maskedPaths(segments) : [path]
  return [...new Set([...masked, ...beginnings])]
}

/** Replaces every set of segments without the first. */
function maskedPaths([first, ...others]: string[]): string[] {
  return Array.from({ length: 2 ** others.length }, (_, mask) =>
    ['', first, ...others.map((segment, i) => (mask & (1 << i) ? '*' : segment))].join('/')
  )
}

/** Whether a request can fit both. */
export function overlap(a: Candidate, b: Candidate): boolean {
  if (routeKey(a) !== routeKey(b)) return false
  if (a.pattern === undefined || b.pattern === undefined) return true
  const [shorter, longer] = [a.pattern.split('/'), b.pattern.split('/')].sort((x, y) => x.length - y.length)
  if (shorter!.length < longer!.length && shorter!.at(-1) !== '*') return false
  return shorter!.every((segment, i) => segment === '*' || longer![i] === '*' || segment === longer![i])
}
