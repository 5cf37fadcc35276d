import type { Moment } from './guilty-routes.ts'
import type { Quarantine, Quarantines } from './quarantines.ts'

/** A death of a worker, and what was in flight in it. */
export interface Death {
  at: number
  moment: Moment
}

/** What another primary takes over. It has a clock of its own, so all times are durations in ms; null: for ever. */
export interface QuarantineSnapshot {
  entries: (Pick<Quarantine, 'method' | 'path' | 'by' | 'cause' | 'level'> & { ageMs: number; waitMs: number | null })[]
  past: { route: string; level: number; forgetMs: number }[]
  deaths: { ageMs: number; moment: Moment }[]
}

/** Probes stay behind: the other primary lets requests of its own through. */
export const snapshotOf = (
  { entries, past }: Quarantines,
  deaths: readonly Death[],
  now: number
): QuarantineSnapshot => ({
  entries: entries.map(({ method, path, by, cause, level, since, until }) => ({
    ...{ method, path, by, cause, level },
    ageMs: now - since,
    waitMs: Number.isFinite(until) ? until - now : null
  })),
  past: [...past].map(([route, { level, forgetAt }]) => ({ route, level, forgetMs: forgetAt - now })),
  deaths: deaths.map(({ at, moment }) => ({ ageMs: now - at, moment }))
})

/** @param lastId ids up to this one were used for other quarantines */
export function restoreSnapshot(
  { entries, past, deaths }: QuarantineSnapshot,
  lastId: number,
  now: number
): { state: Quarantines; deaths: Death[] } {
  return {
    state: {
      entries: entries.map(({ ageMs, waitMs, ...entry }, i) => ({
        ...entry,
        id: lastId + 1 + i,
        since: now - ageMs,
        until: waitMs === null ? Number.POSITIVE_INFINITY : now + waitMs
      })),
      past: new Map(past.map(({ route, level, forgetMs }) => [route, { level, forgetAt: now + forgetMs }])),
      lastId: lastId + entries.length
    },
    deaths: deaths.map(({ ageMs, moment }) => ({ at: now - ageMs, moment }))
  }
}
