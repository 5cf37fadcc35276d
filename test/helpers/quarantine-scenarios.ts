import { Random } from './random.ts'
import { busyRoutes, type SimulatedRoute, type Simulation, simulateDeaths } from './simulated-deaths.ts'

export interface Scenario {
  promise: string
  setUp(random: Random): Omit<Simulation, 'random'>
  /** The routes that end workers. */
  guilty: string[]
  /** The share of runs that may end before all of them are found. */
  mayMiss: number
  /** The share of runs that may accuse an innocent route; undefined: none may. */
  mayAccuse?: number
}

const DEADLY: SimulatedRoute = { route: '/deadly', rate: 0.2, meanMs: 50, kills: () => 1 }
const POLL: SimulatedRoute = { route: '/poll', rate: 2, meanMs: 20_000 }
const WITHOUT_ROUTE = { otherDeaths: 0.02, maxDeaths: 8, maxFound: 1 }
const FIVE = { maxDeaths: 5, maxFound: 1 }

const mounted = (routes: SimulatedRoute[]): SimulatedRoute[] =>
  routes.map(({ route, ...rest }) => ({ ...rest, route: '/*', path: (random) => `${route}/${random.between(1, 100)}` }))
/** In flight as often, but for ten times as long each time. */
const toSlow = (route: SimulatedRoute): SimulatedRoute => ({
  route: `/slow${route.route}`,
  rate: route.rate / 10,
  meanMs: route.meanMs * 10
})
const slow = (routes: SimulatedRoute[], factor: number) =>
  routes.map((route) => ({ ...route, rate: route.rate / factor }))

export const SCENARIOS: Scenario[] = [
  {
    promise: 'a guilty route is found among ten busy ones within five deaths',
    setUp: (random) => ({ routes: [...busyRoutes(random), DEADLY], ...FIVE }),
    guilty: ['/deadly'],
    mayMiss: 0
  },
  {
    promise: 'one guilty path of a busy route is found within five deaths',
    setUp: (random) => ({
      routes: [
        ...busyRoutes(random),
        {
          route: '/items/:id',
          rate: 8,
          meanMs: 80,
          path: (dice) => `/items/${dice.between(1, 300)}`,
          kills: (path) => (path === '/items/66' ? 1 : 0)
        }
      ],
      ...FIVE
    }),
    guilty: ['/items/66'],
    mayMiss: 0
  },
  {
    promise: 'the guilty paths of a mounted app, which has one route, are found within five deaths',
    setUp: (random) => ({ routes: mounted([...busyRoutes(random), DEADLY]), ...FIVE }),
    guilty: ['/deadly/*'],
    mayMiss: 0
  },
  {
    promise: 'two guilty routes are found',
    setUp: (random) => ({
      routes: [...busyRoutes(random), DEADLY, { ...DEADLY, route: '/lethal' }],
      maxDeaths: 12,
      maxFound: 2
    }),
    guilty: ['/deadly', '/lethal'],
    mayMiss: 0.2
  },
  {
    promise: 'a guilty route is found beside one that is always in flight',
    setUp: (random) => ({ routes: [...busyRoutes(random), POLL, DEADLY], ...FIVE }),
    guilty: ['/deadly'],
    mayMiss: 0
  },
  {
    promise: 'a guilty route is found at low traffic',
    setUp: (random) => ({
      routes: [...slow(busyRoutes(random), 200), { ...DEADLY, rate: 0.02 }],
      ...FIVE,
      maxMs: 300_000
    }),
    guilty: ['/deadly'],
    mayMiss: 0
  },
  {
    promise: 'deaths that no route causes accuse no route',
    setUp: (random) => ({ routes: [...busyRoutes(random), POLL], ...WITHOUT_ROUTE }),
    guilty: [],
    mayMiss: 0
  },
  {
    promise: 'deaths that no route causes accuse no path of a mounted app',
    setUp: (random) => ({ routes: mounted(busyRoutes(random)), ...WITHOUT_ROUTE }),
    guilty: [],
    mayMiss: 0
  },
  {
    promise: 'deaths at low traffic that no route causes accuse no route',
    setUp: (random) => ({ routes: slow(busyRoutes(random), 200), ...WITHOUT_ROUTE }),
    guilty: [],
    mayMiss: 0
  },
  {
    promise: 'deaths that no route causes accuse no route that is slow and seldom used',
    setUp: (random) => ({
      routes: [...busyRoutes(random), ...slow(busyRoutes(random), 10).map(toSlow)],
      ...WITHOUT_ROUTE
    }),
    guilty: [],
    mayMiss: 0
  },
  {
    promise: 'deaths by overload, when every route is in flight, accuse no route',
    setUp: (random) => ({
      routes: slow(busyRoutes(random), 20),
      loadAt: (now) => (now > 20_000 && now % 30_000 < 1500 ? 30 : 1),
      ...WITHOUT_ROUTE
    }),
    guilty: [],
    mayMiss: 0,
    mayAccuse: 0.01
  }
]

/** @returns the innocent routes that were found guilty, and the number of runs that did not find every guilty one */
export function busyRuns({ setUp, guilty }: Scenario, runs: number): { wrong: string[]; missed: number } {
  const wrong: string[] = []
  let missed = 0
  for (let seed = 1; seed <= runs; seed++) {
    const random = new Random(seed)
    const found = simulateDeaths({ random, ...setUp(random) }).map(({ route, pattern }) => pattern ?? route)
    wrong.push(...found.filter((route) => !guilty.includes(route)))
    if (!guilty.every((route) => found.includes(route))) missed++
  }
  return { wrong, missed }
}
