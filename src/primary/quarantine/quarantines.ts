import type { RoutePattern } from '../../ipc/route-pattern.ts'

/** A route that is refused with 503. Times are in ms of one clock. */
export interface Quarantine extends RoutePattern {
  id: number
  /** `operator`: it was added by a command, and stays until a command lifts it. */
  by: 'deaths' | 'operator'
  /** For people. */
  cause: string
  since: number
  /** How often in a row the route was quarantined again, from 0. The time doubles with each. */
  level: number
  /** From this time on, single requests are let through. */
  until: number
  /** The request that was let through and has not ended. */
  probe?: { worker: number; since: number } | undefined
}

/** All quarantines, and what is remembered of those that ended. */
export interface Quarantines {
  entries: readonly Quarantine[]
  /** The level of each route that was lifted by a probe, and when it is forgotten. */
  past: ReadonlyMap<string, { level: number; forgetAt: number }>
  lastId: number
}

export const NO_QUARANTINES: Quarantines = { entries: [], past: new Map(), lastId: 0 }

/** The longest time is this many times the first. */
const MAX_FACTOR = 64
const MAX_LEVEL = Math.log2(MAX_FACTOR)

export const keyOf = ({ method, path }: RoutePattern): string => `${method} ${path}`

export const findQuarantine = ({ entries }: Quarantines, route: RoutePattern): Quarantine | undefined =>
  entries.find((entry) => keyOf(entry) === keyOf(route))

/** @param timeMs the time of the first quarantine of a route */
export const timeOf = (level: number, timeMs: number): number => timeMs * 2 ** Math.min(level, MAX_LEVEL)

/** Quarantines a route that ended workers. Unchanged when it is quarantined already. */
export function quarantine(
  state: Quarantines,
  { method, path, cause }: RoutePattern & { cause: string },
  now: number,
  timeMs: number
): Quarantines {
  if (findQuarantine(state, { method, path })) return state
  const before = state.past.get(keyOf({ method, path }))
  const level = before && before.forgetAt > now ? Math.min(before.level + 1, MAX_LEVEL) : 0
  const until = now + timeOf(level, timeMs)
  return added(state, { method, path, cause, by: 'deaths', since: now, level, until })
}

/** Quarantines a route until an operator lifts it. */
export function quarantineByOperator(state: Quarantines, route: RoutePattern, now: number): Quarantines {
  const others = state.entries.filter((entry) => keyOf(entry) !== keyOf(route))
  const { method, path } = route
  const cause = 'added by a command'
  return added(
    { ...state, entries: others },
    { method, path, cause, by: 'operator', since: now, level: 0, until: Number.POSITIVE_INFINITY }
  )
}

const added = (state: Quarantines, entry: Omit<Quarantine, 'id'>): Quarantines => ({
  ...state,
  entries: [...state.entries, { ...entry, id: state.lastId + 1 }],
  lastId: state.lastId + 1
})

/** Lifts a quarantine for good: the route is judged as one that was never quarantined. */
export function lift(state: Quarantines, route: RoutePattern): Quarantines {
  const past = new Map(state.past)
  past.delete(keyOf(route))
  return { ...state, entries: state.entries.filter((entry) => keyOf(entry) !== keyOf(route)), past }
}

/** Lets a request through, if the time is over and no other one is under way. @returns undefined when it must be refused */
export function grantProbe(state: Quarantines, id: number, worker: number, now: number): Quarantines | undefined {
  const entry = state.entries.find((candidate) => candidate.id === id)
  if (!entry || entry.probe || now < entry.until) return undefined
  return changed(state, { ...entry, probe: { worker, since: now } })
}

/** The probe was answered: the worker survived it, so the quarantine is lifted. Its level is remembered. */
export function probeAnswered(
  state: Quarantines,
  id: number,
  worker: number,
  now: number,
  timeMs: number
): Quarantines {
  const entry = state.entries.find((candidate) => candidate.id === id)
  if (entry?.probe?.worker !== worker) return state
  const forgetAt = now + 2 * MAX_FACTOR * timeMs
  const past = new Map(state.past).set(keyOf(entry), { level: entry.level, forgetAt })
  return { ...state, entries: state.entries.filter(({ id: other }) => other !== id), past }
}

/** The client of the probe left before the answer: another request may be let through. */
export function probeUnknown(state: Quarantines, id: number, worker: number): Quarantines {
  const entry = state.entries.find((candidate) => candidate.id === id)
  return entry?.probe?.worker === worker ? changed(state, { ...entry, probe: undefined }) : state
}

/**
 * A worker has exited. Quarantines whose probe it had begin again, for twice the time.
 * @param died false: it left or was killed for another reason, and its probes prove nothing
 */
export function workerExited(
  state: Quarantines,
  { worker, died }: { worker: number; died: boolean },
  now: number,
  timeMs: number
): Quarantines {
  if (!state.entries.some(({ probe }) => probe?.worker === worker)) return state
  const entries = state.entries.map((entry) => {
    if (entry.probe?.worker !== worker) return entry
    if (!died) return { ...entry, probe: undefined }
    const level = Math.min(entry.level + 1, MAX_LEVEL)
    return { ...entry, probe: undefined, level, until: now + timeOf(level, timeMs) }
  })
  return { ...state, entries }
}

/** Lifts quarantines whose probe has run for the time of the first quarantine, as streams do: their workers live. */
export function liftLongProbes(state: Quarantines, now: number, timeMs: number): Quarantines {
  return state.entries
    .filter(({ probe }) => probe && now - probe.since >= timeMs)
    .reduce((next, { id, probe }) => probeAnswered(next, id, probe!.worker, now, timeMs), state)
}

/** New code serves: it may have mended the routes, so that each quarantine ends with its next probe. Operators' ones stay. */
export function probeNow(state: Quarantines, now: number): Quarantines {
  const entries = state.entries.map((entry) =>
    entry.by === 'deaths' && entry.until > now ? { ...entry, until: now } : entry
  )
  return { ...state, entries }
}

/** @returns when the next quarantine changes by itself; infinity: never */
export function nextChange({ entries }: Quarantines, now: number, timeMs: number): number {
  const times = entries.map(({ until, probe }) => (probe ? probe.since + timeMs : until)).filter((time) => time > now)
  return Math.min(Number.POSITIVE_INFINITY, ...times)
}

const changed = (state: Quarantines, entry: Quarantine): Quarantines => ({
  ...state,
  entries: state.entries.map((other) => (other.id === entry.id ? entry : other))
})
