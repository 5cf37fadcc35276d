import { AGAINST, type Contestant, musterOf, own } from '../contestants.ts'
import { howMeasured, legend, sampleTable } from '../report.ts'
import { measureRounds } from '../rounds.ts'
import { BenchError, type Sample, type Scenario } from '../scenario.ts'

const ROWS = ['hit', 'session'] as const
const SERVERS = { bare: own.bare, 'by-the-book': own['by-the-book'], muster: own.muster }
const NAMES = ['bare', 'by-the-book', 'muster'] as const
const RATES = [500, 2000, 5000]
const COLUMNS = [
  { head: 'answered/s', value: 'perSecond', digits: 0 },
  { head: 'p50 ms', value: 'p50Ms', digits: 2, base: 'by-the-book' },
  { head: 'p99 ms', value: 'p99Ms', digits: 2, base: 'by-the-book' },
  { head: 'p99.9 ms', value: 'p999Ms', digits: 2 },
  { head: 'CPU µs/req', value: 'cpu', digits: 1 }
]
const ABOUT = `Requests are due at random times, at a rate that does not depend on the server. Latency counts from when a request was due, so a
server that stalls is charged for every request that its users would have sent meanwhile. The clients are in JavaScript, not wrk, and timed to
the millisecond.`

export const latency: Scenario = {
  summary: 'latency at given rates of requests, also of those that waited for a connection',
  defaults: { rounds: 5, seconds: 4 },
  names: NAMES,
  options: { rates: `requests per second, comma-separated (default ${RATES})`, against: AGAINST },
  async run(context) {
    const against = context.option('against')
    const servers: Record<string, Contestant> = {
      ...(against !== undefined && { before: musterOf(against) }),
      ...Object.fromEntries(context.select(NAMES).map((name) => [name, SERVERS[name]]))
    }
    const samples: Sample[] = []
    for (const rate of ratesOf(context.option('rates'))) {
      const ofRate = await measureRounds(context, servers, ROWS, { due: rate })
      samples.push(...ofRate.map((sample) => ({ ...sample, table: `${sample.table}, ${rate} requests/s` })))
    }
    const titles = [...new Set(samples.map(({ table }) => table))]
    const tables = titles.map((title) => `### ${title}\n\n${sampleTable(samples, title, COLUMNS)}`)
    return { samples, report: [howMeasured(context.settings), ABOUT, legend(servers), ...tables].join('\n\n') }
  }
}

function ratesOf(text = RATES.join()): number[] {
  const rates = text.split(',').map(Number)
  if (rates.every((rate) => Number.isInteger(rate) && rate >= 1 && rate <= 100_000)) return rates
  throw new BenchError(`--rates must be whole numbers from 1 to 100000, separated by commas, not ${text}`)
}
