import { fixed, table } from '../../bench/report.ts'
import { batchesPerSecond } from '../../bench/scenarios/simulate.ts'

/** The figures of docs/explanation/scaling.md by name, in the units of that page. */
export type Figures = Readonly<Record<string, number>>

const RATES = [1000, 10_000, 100_000, 300_000, 1_000_000]
/** What overlays/production of deploy/kubernetes has in a pod. */
export const WORKERS_PER_POD = 4
/** The default of REDIS_TIMEOUT, in µs. */
const REDIS_TIMEOUT = 1e6

export function figuresOf(page: string): Figures {
  const rows = page.matchAll(/^\| `(\w+)` \| ([\d.,]+) \|/gm)
  return Object.fromEntries([...rows].map(([, name = '', value = '']) => [name, Number(value.replaceAll(',', ''))]))
}

/** A figure by its name. @throws when the page does not have it */
const of = (figures: Figures, name: string): number => {
  const { [name]: value } = figures
  if (value === undefined || Number.isNaN(value)) throw new Error(`the page has no figure ${name}`)
  return value
}
const share = (figures: Figures): number => of(figures, 'target') / 100

/** @param cpu of a request, in µs */
const workersFor = (figures: Figures, rate: number, cpu: number): number =>
  Math.ceil((rate * cpu) / 1e6 / share(figures))

/** The part of a core of Redis that takes the batches of these workers, and how long a round is, in ms. */
function roundsOf(figures: Figures, rate: number, workers: number) {
  const round = of(figures, 'round') / 1000
  const wanted = workers * batchesPerSecond(rate / workers, round)
  const possible = 1e6 / of(figures, 'batch')
  const busy = wanted / possible
  const batches = Math.min(wanted, possible)
  return { busy, batches, roundMs: busy > 1 ? (workers * of(figures, 'batch')) / 1000 : round * 1000 }
}

export function hitsTable(figures: Figures): string {
  const lines = RATES.map((rate) => {
    const workers = workersFor(figures, rate, of(figures, 'hit'))
    const { busy, batches, roundMs } = roundsOf(figures, rate, workers)
    return [
      fixed(rate, 0),
      fixed(workers, 0),
      fixed(Math.ceil(workers / WORKERS_PER_POD), 0),
      fixed(batches, 0),
      busy > 1 ? 'saturated' : `${fixed(busy * 100, 0)} %`,
      fixed(rate / batches, 1),
      fixed(2 * roundMs, 0),
      fixed((rate * of(figures, 'response') * 8) / 1e9, 2)
    ]
  })
  const head = ['hits/s', 'workers', `pods of ${WORKERS_PER_POD}`, 'batches/s', 'Redis busy', 'hits per batch']
  return table([...head, 'longest wait, ms', 'responses, Gbit/s'], lines)
}

export function pagesTable(figures: Figures): string {
  const lines = RATES.map((rate) => {
    const cores = (rate * of(figures, 'redisPage')) / 1e6
    const isEnough = cores <= share(figures)
    const nodes = isEnough ? 1 : Math.ceil((rate * of(figures, 'redisPageOnCluster')) / 1e6 / share(figures))
    const workers = workersFor(figures, rate, of(figures, isEnough ? 'page' : 'pageOnCluster'))
    return [
      fixed(rate, 0),
      `${fixed(cores * 100, 0)} %`,
      isEnough ? 'one server' : `Cluster of ${nodes}`,
      fixed(workers, 0),
      fixed(Math.ceil(workers / WORKERS_PER_POD), 0),
      fixed(roundsOf(figures, rate, workers).roundMs, 1)
    ]
  })
  const head = ['pages/s', 'one server would be busy', 'Redis', 'workers', `pods of ${WORKERS_PER_POD}`]
  return table([...head, 'round of the counter, ms'], lines, ['Redis'])
}

export function limitsTable(figures: Figures): string {
  const u = share(figures)
  const batch = of(figures, 'batch')
  const pages = (u * 1e6) / of(figures, 'redisPage')
  const equal = of(figures, 'redisPageOnCluster') / of(figures, 'redisPage')
  const clients = of(figures, 'maxClients') / of(figures, 'connections')
  const saturated = (of(figures, 'round') * 1000) / batch
  return table(
    ['limit', 'reached at', 'what to do'],
    [
      [
        'the core of a worker',
        `${fixed((u * 1e6) / of(figures, 'hit'), 0)} hits/s or ${fixed((u * 1e6) / of(figures, 'page'), 0)} pages/s for each worker`,
        'more workers, up to the cores of the machine'
      ],
      [
        'the cores of a machine',
        `with 8 cores, ${fixed((8 * u * 1e6) / of(figures, 'hit'), 0)} hits/s`,
        'more machines with one Redis, or more pods'
      ],
      [
        'Redis, by sessions',
        `${fixed(pages, 0)} pages/s on one server`,
        `no session for routes that need none; then a Cluster, which carries more than one server from ${Math.floor(equal) + 1} nodes on`
      ],
      [
        'Redis, by hits of one counter',
        `${fixed(saturated, 0)} busy workers`,
        'nothing, batches grow; where the wait matters, fewer workers with more load each'
      ],
      [
        '`REDIS_TIMEOUT`, by the same',
        `${fixed(REDIS_TIMEOUT / (2 * batch), 0)} workers, whose two rounds take a second`,
        'several counters, added up when they are read'
      ],
      [
        'connections of one Redis server',
        `${fixed(clients, 0)} workers`,
        'raise `maxclients`, and the limit of open files of Redis'
      ]
    ],
    ['reached at', 'what to do']
  )
}
