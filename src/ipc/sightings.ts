/** A request that was in flight at one moment. */
export interface Sighting {
  method: string
  /** The template of its route; empty when no route matched. */
  route: string
  /** Its path without the query, at most {@link MAX_PATH} characters. */
  path: string
}

export const MAX_PATH = 200
const MAX_SIGHTINGS = 64

/**
 * Chooses at most 64 different requests: the first of each route, then the second of each route, and so on. Samples and the
 * requests at a death are limited by this same rule, so that their frequencies can be compared.
 * @param sightings the youngest first
 */
export function limitSightings(sightings: readonly Sighting[]): Sighting[] {
  const byRoute = new Map<string, Map<string, Sighting>>()
  for (const sighting of sightings) {
    const route = `${sighting.method} ${sighting.route}`
    const ofRoute = byRoute.get(route) ?? new Map<string, Sighting>()
    byRoute.set(route, ofRoute.set(sighting.path, ofRoute.get(sighting.path) ?? sighting))
  }
  const lists = [...byRoute.values()].map((ofRoute) => [...ofRoute.values()])
  const chosen: Sighting[] = []
  for (let i = 0; chosen.length < MAX_SIGHTINGS && lists.some((list) => i < list.length); i++) {
    for (const list of lists) if (i < list.length && chosen.length < MAX_SIGHTINGS) chosen.push(list[i]!)
  }
  return chosen
}

/** @returns the sightings in a message or file of a worker, which may contain anything */
export function parseSightings(value: unknown): Sighting[] {
  if (!Array.isArray(value)) return []
  return limitSightings(value.slice(0, 10_000).flatMap((entry) => parseSighting(entry) ?? []))
}

/** @returns undefined when the value is no sighting */
export function parseSighting(value: unknown): Sighting | undefined {
  const { method, route, path } = (value ?? {}) as Partial<Record<keyof Sighting, unknown>>
  if (typeof method !== 'string' || typeof route !== 'string' || typeof path !== 'string') return undefined
  return { method: method.slice(0, 32), route: route.slice(0, 256), path: path.slice(0, MAX_PATH) }
}
