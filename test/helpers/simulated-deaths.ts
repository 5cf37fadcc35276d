import type { Sighting } from '../../src/ipc/sightings.ts'
import { fits } from '../../src/primary/quarantine/candidates.ts'
import { judge, type Moment, type Suspect } from '../../src/primary/quarantine/guilty-routes.ts'
import { Samples } from '../../src/primary/quarantine/samples.ts'
import type { Random } from './random.ts'

export interface SimulatedRoute {
  method?: string
  route: string
  /** Requests per second at each worker. */
  rate: number
  /** The mean time of a request, which is distributed exponentially. */
  meanMs: number
  /** Undefined: the path is the template. */
  path?: (random: Random) => string
  /** The probability that a request ends its worker. */
  kills?: (path: string) => number
}

export interface Simulation {
  random: Random
  routes: SimulatedRoute[]
  workers?: number
  /** Deaths have no cause before. */
  warmUpMs?: number
  /** Deaths per second that no route causes. */
  otherDeaths?: number
  /** The factor of all rates at a time, and of the deaths that no route causes. */
  loadAt?: (ms: number) => number
  maxDeaths: number
  /** The run ends at this time, or when so many routes were found. */
  maxMs?: number
  maxFound?: number
}

export interface Sentence extends Suspect {
  /** The number of deaths so far. */
  after: number
}

const STEP_MS = 20
const SAMPLE_MS = 100
const WINDOW_MS = 600_000

/**
 * Lets simulated workers serve and die, and judges after each death. Requests of a route that was found guilty are refused from
 * then on.
 * @returns the guilty ones, in the order in which they were found
 */
export function simulateDeaths(simulation: Simulation): Sentence[] {
  const { random, routes, workers = 4, warmUpMs = 20_000, otherDeaths = 0, maxDeaths } = simulation
  const { maxMs = 120_000, maxFound = Number.POSITIVE_INFINITY } = simulation
  const flights: (Sighting & { endsAt: number; kills: boolean })[][] = Array.from({ length: workers }, () => [])
  const samples = new Samples(WINDOW_MS)
  const deaths: Moment[] = []
  const guilty: Sentence[] = []
  const perStep = STEP_MS / 1000
  for (let now = 0; deaths.length < maxDeaths && guilty.length < maxFound && now < maxMs; now += STEP_MS) {
    const load = simulation.loadAt?.(now) ?? 1
    const mayDie = now >= warmUpMs
    for (const [i, before] of flights.entries()) {
      const open = before.filter(({ endsAt }) => endsAt > now)
      flights[i] = open
      let dies = mayDie && random.chance(otherDeaths * perStep * load)
      dies ||= before.some(({ endsAt, kills }) => kills && endsAt <= now)
      for (const { method = 'GET', route, rate, meanMs, path = () => route, kills } of routes) {
        if (!random.chance(rate * perStep * load)) continue
        const sighting = { method, route, path: path(random) }
        if (guilty.some((found) => fits(found, sighting))) continue
        const willKill = mayDie && random.chance(kills?.(sighting.path) ?? 0)
        open.push({ ...sighting, endsAt: now - Math.log(1 - random.next()) * meanMs, kills: willKill })
      }
      if (now % SAMPLE_MS === 0) samples.add([...open], now)
      if (!dies || deaths.length >= maxDeaths) continue
      // What ends in the step of the death was still in flight.
      deaths.push(before)
      flights[i] = []
      for (const suspect of judge(deaths, samples.moments(now), 3)) {
        if (!suspect.guilty || guilty.some((known) => isSame(known, suspect))) continue
        guilty.push({ ...suspect, after: deaths.length })
      }
    }
  }
  return guilty
}

const isSame = (a: Suspect, b: Suspect) => a.method === b.method && a.route === b.route && a.pattern === b.pattern

/** Ten routes of an app: each is in flight at a worker for 2 to 90 % of the time. */
export function busyRoutes(random: Random): SimulatedRoute[] {
  return Array.from({ length: 10 }, (_, i) => {
    const share = 0.02 + 0.88 * random.next()
    const meanMs = 20 + 400 * random.next()
    const rate = (-Math.log(1 - share) * 1000) / meanMs
    return { route: `/busy${i}`, rate: Math.min(rate, 40), meanMs }
  })
}
