interface Exploration<World> {
  /** The next moments that follow by themselves. Without one, the moment is an end. */
  steps(world: World): Iterable<World>
  /** Further moments that something from outside may cause, such as a death. */
  interventions(world: World): Iterable<World>
  /** Moments with the same key are one. */
  keyOf?: (world: World) => string
  visit?: (world: World) => void
}

/** Visits every moment that can be reached. @returns the moments at which nothing more happens by itself */
export function explore<World>(
  start: World,
  { steps, interventions, keyOf = JSON.stringify, visit }: Exploration<World>
): World[] {
  const seen = new Set<string>()
  const ends: World[] = []
  const queue = [start]
  for (let world = queue.pop(); world; world = queue.pop()) {
    const key = keyOf(world)
    if (seen.has(key)) continue
    seen.add(key)
    visit?.(world)
    const next = [...steps(world)]
    if (next.length === 0) ends.push(world)
    queue.push(...next, ...interventions(world))
  }
  return ends
}

/** @returns a copy that was changed */
export function changed<World>(world: World, change: (next: World) => void): World {
  const next = structuredClone(world)
  change(next)
  return next
}
