import type { Sighting } from '../../ipc/sightings.ts'
import { type Candidate, candidatesOf, countSamples, fits, indexSamples, overlap, routeKey } from './candidates.ts'

/** What was in flight in one worker at one moment. */
export type Moment = readonly Sighting[]

/** A route that was in flight when workers died. */
export interface Suspect extends Candidate {
  /** The number of deaths at which it was in flight. */
  deaths: number
  /** The share of ordinary moments at which it was in flight, 0 to 1. */
  usualShare: number
  /** How many times likelier the deaths are if it ends workers than if it does not, as a power of ten. */
  evidence: number
  /** The evidence is enough to quarantine it. */
  guilty: boolean
}

/**
 * The likelihood ratio that one of all candidates must reach. Without a guilty route, the probability that any innocent one
 * ever reaches it is at most 1 in this number (Ville's inequality). The simulation checks it.
 */
const MIN_RATIO = 2000
/** How much better than the next route a guilty one must explain the deaths. */
const MIN_LEAD = 30
/** Possible shares of the deaths that a guilty route causes, with the probability of each before any death is seen. */
const SHARES = [
  { share: 1, weight: 0.5 },
  { share: 0.8, weight: 0.3 },
  { share: 0.5, weight: 0.2 }
] as const
/** The load at a death is estimated as this many times the usual load at most. */
const MAX_LOAD = 1e4

/**
 * Separates routes that end workers from routes that were only in flight. Pure.
 *
 * A guilty route is in flight at each death that it causes. An innocent one is in flight as often as at any other moment, which
 * `samples` show. The ratio of the two likelihoods is the evidence. When a route is found guilty, the deaths that it explains
 * count no more, and the others are judged by the rest.
 * @param deaths what was in flight at each death, the oldest first
 * @param samples what is in flight at ordinary moments
 * @param minDeaths fewer are never enough
 * @returns the suspects that are more likely guilty than not, the best evidence first
 */
export function judge(deaths: readonly Moment[], samples: readonly Moment[], minDeaths: number): Suspect[] {
  const found: Suspect[] = []
  let unexplained = [...deaths]
  for (;;) {
    const suspects = assess(unexplained, samples)
    const best = suspects[0]
    if (!best || best.deaths < minDeaths || !isSeparate(best, suspects, unexplained)) {
      return [...found, ...suspects.map((suspect) => ({ ...suspect, guilty: false }))]
    }
    if (!best.guilty) return [...found, ...suspects]
    found.push(best)
    unexplained = unexplained.filter((death) => !death.some((sighting) => fits(best, sighting)))
  }
}

/** Whether the best suspect explains its deaths better than every other that was in flight at half of them. */
function isSeparate(best: Suspect, suspects: readonly Suspect[], deaths: readonly Moment[]): boolean {
  const isAt = (suspect: Suspect) => (death: Moment) => death.some((sighting) => fits(suspect, sighting))
  const explained = deaths.filter(isAt(best))
  const rival = suspects.find(
    (suspect) => !overlap(suspect, best) && explained.filter(isAt(suspect)).length >= explained.length / 2
  )
  return rival === undefined || best.evidence - rival.evidence >= Math.log10(MIN_LEAD)
}

function assess(deaths: readonly Moment[], samples: readonly Moment[]): Suspect[] {
  const candidates = candidatesOf(deaths)
  if (candidates.length === 0) return []
  const index = indexSamples(samples)
  const usual = usualShares(deaths, samples)
  const loads = deaths.map((death) => {
    const present = new Set(death.map(routeKey))
    return (route: string) => loadOf(usual, present, route)
  })
  const limit = Math.log10(MIN_RATIO * candidates.length)
  const suspects = candidates.flatMap((candidate) => {
    const present = deaths.map((death) => death.some((sighting) => fits(candidate, sighting)))
    const count = present.filter(Boolean).length
    if (count < 2) return []
    const seen = countSamples(index, candidate)
    const seenRoute = countSamples(index, { ...candidate, pattern: undefined })
    const evidence = evidenceOf(present, { seen, seenRoute, samples: samples.length }, (i) =>
      loads[i]!(routeKey(candidate))
    )
    if (evidence <= 0) return []
    const usualShare = samples.length > 0 ? seen / samples.length : 0
    return [{ ...candidate, deaths: count, usualShare, evidence, guilty: evidence >= limit }]
  })
  return preferNarrow(suspects.sort((a, b) => b.evidence - a.evidence))
}

/** The number of segments that a pattern names. */
const narrowness = ({ pattern }: Candidate) =>
  pattern === undefined ? 0 : pattern.split('/').filter((segment) => segment !== '*').length

/**
 * Keeps the narrowest of overlapping suspects that explain as many deaths as the best of them and are as surely guilty. It leaves
 * most requests of the route in service.
 * @param suspects the best evidence first
 */
function preferNarrow(suspects: readonly Suspect[]): Suspect[] {
  const kept: Suspect[] = []
  let rest = suspects
  for (let best = rest[0]; best; best = rest[0]) {
    const { deaths, guilty } = best
    const group = rest.filter((suspect) => overlap(suspect, best!))
    const equals = group.filter((suspect) => suspect.deaths >= deaths && (suspect.guilty || !guilty))
    kept.push(
      equals.reduce((narrowest, suspect) => (narrowness(suspect) > narrowness(narrowest) ? suspect : narrowest))
    )
    rest = rest.filter((suspect) => !group.includes(suspect))
  }
  return kept
}

/**
 * Computes the logarithm of the likelihood ratio. If the route is innocent, the deaths are moments like the samples: each
 * has the route in flight with the frequency seen so far (Laplace's rule of succession, with Jeffreys' prior), at the load of
 * that death. If it causes a share of the deaths, it is in flight at these, and at the others as if it were innocent.
 */
function evidenceOf(
  present: readonly boolean[],
  { seen, seenRoute, samples }: { seen: number; seenRoute: number; samples: number },
  load: (death: number) => number
): number {
  const logs = SHARES.map(({ weight }) => Math.log(weight))
  // The first death suggested the pattern, so it speaks against the whole route only.
  const first = present.indexOf(true)
  let presents = seen
  let moments = samples
  for (const [i, isPresent] of present.entries()) {
    const usual = i === first ? Math.max(presents, seenRoute) : presents
    const share = underLoad((usual + 0.5) / (moments + 1), load(i))
    for (const [j, { share: caused }] of SHARES.entries()) {
      logs[j]! += Math.log(isPresent ? caused / share + 1 - caused : 1 - caused)
    }
    if (isPresent) presents++
    moments++
  }
  return Math.log10(logs.reduce((sum, log) => sum + Math.exp(log), 0))
}

/** @returns the share of moments at which each route is in flight */
function usualShares(deaths: readonly Moment[], samples: readonly Moment[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const moment of samples) {
    for (const route of new Set(moment.map(routeKey))) counts.set(route, (counts.get(route) ?? 0) + 1)
  }
  for (const route of deaths.flat().map(routeKey)) if (!counts.has(route)) counts.set(route, 0)
  return new Map([...counts].map(([route, count]) => [route, (count + 0.5) / (samples.length + 1)]))
}

/**
 * Estimates how many times the usual load was in flight at a death, from the routes other than `route`: when a database hangs,
 * a crowd comes, or fewer workers are left, every route is in flight more often. Chance has its part: only what exceeds the
 * expected number by one route and its standard deviation is a sign of load.
 * @returns at least 1
 */
function loadOf(usual: ReadonlyMap<string, number>, present: ReadonlySet<string>, route: string): number {
  const others = [...usual].filter(([other]) => other !== route)
  const expected = (load: number) => others.reduce((sum, [, share]) => sum + underLoad(share, load), 0)
  const seen = others.filter(([other]) => present.has(other)).length - 1 - Math.sqrt(expected(1))
  if (seen <= expected(1)) return 1
  let low = 1
  let high = MAX_LOAD
  while (high / low > 1.05) {
    const middle = Math.sqrt(low * high)
    if (expected(middle) < seen) low = middle
    else high = middle
  }
  return low
}

/** The share of moments with the route in flight, if arrivals are independent and `load` times as many. */
const underLoad = (share: number, load: number) => (load === 1 ? share : 1 - (1 - share) ** load)
