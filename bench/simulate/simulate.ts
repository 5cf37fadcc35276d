import { scratchFolder } from '../children.ts'
import { type Command, count, type Flags, text } from '../command.ts'
import { machine, machineLine } from '../machine.ts'
import { fixed, table } from '../markdown.ts'
import { provideRedis } from '../redis.ts'
import { warnIfBusy } from '../rounds.ts'
import { batchCommand, type Ceiling, measureCeiling } from './ceiling.ts'
import { Fleet, type FleetSample } from './fleet.ts'
import { batchesPerSecond } from './formula.ts'

const roundTripsMs = [2, 5, 20]
const rates = [10, 100, 1000, 4000]
/** Many workers at one Redis with nothing between. */
const fleets = [1, 10, 100, 300]
const fleetRate = 500
/** After an answer the next batch waits so long, in seconds, for those who come back: src/state/batches.ts. */
const regroup = 0.004
const ceilings = [
  { clients: 1, depth: 1 },
  { clients: 100, depth: 1 },
  { clients: 1000, depth: 1 },
  { clients: 100, depth: 32 }
]

/** Whether what Redis is asked follows workers and round trips, and not requests. */
export const simulate: Command = {
  summary:
    'the batching of many workers in one process, against a Redis that is far away: is it what the formula says?',
  options: {
    seconds: { type: 'string', default: '2', help: 'length of one measurement' },
    workers: { type: 'string', default: '8', help: 'workers where round trips and rates vary' },
    redis: { type: 'string', help: 'URL of a Redis to write to, by TCP and without a password' }
  },
  run
}

async function run(flags: Flags): Promise<void> {
  const seconds = count(flags, 'seconds', 60)
  const workers = count(flags, 'workers', 200)
  warnIfBusy()
  const redis = await provideRedis(text(flags, 'redis'), scratchFolder())
  const grid: string[][] = []
  for (const delayMs of roundTripsMs) {
    for (const rate of rates) {
      const sample = await measure(redis.url, workers, delayMs, rate, seconds)
      grid.push([String(delayMs), ...line(sample)])
    }
  }
  const crowd: string[][] = []
  for (const many of fleets) crowd.push([String(many), ...line(await measure(redis.url, many, 0, fleetRate, seconds))])
  const command = await batchCommand(redis.url)
  const most: Ceiling[] = []
  for (const one of ceilings) most.push(await measureCeiling(redis.url, command, { ...one, seconds }))
  const of = 'batches/s of a worker'
  const head = [
    'requests/s of a worker',
    'a batch took ms',
    of,
    'by the formula',
    'measured / formula',
    'requests a batch'
  ]
  const parts = [
    `${machineLine(machine(redis.version))}\nWindows of ${seconds} s. The formula is given the requests that were answered and what a batch took on average,\nwith the 4 ms that the next one waits for those who come back.`,
    `### ${workers} workers, a network of so many ms\n\n${table(['network ms', ...head], grid)}`,
    `### Many workers, ${fleetRate} requests/s each, no network\n\n${table(['workers', ...head], crowd)}`,
    `### What one Redis takes\n\n${ceilingTable(most)}`
  ]
  console.log(parts.join('\n\n'))
}

async function measure(url: string, workers: number, delayMs: number, rate: number, seconds: number) {
  const fleet = await Fleet.open(url, workers, delayMs)
  try {
    await fleet.run(rate, 0.5)
    const sample = await fleet.run(rate, seconds)
    console.error(`${workers} workers, ${delayMs} ms, ${rate}/s: ${Math.round(sample.batches)} batches/s`)
    return sample
  } finally {
    fleet.close()
  }
}

function line({ workers, perSecond, batches, roundTrip, refused }: FleetSample): string[] {
  const rate = perSecond / workers
  const each = batches / workers
  const expected = batchesPerSecond(rate, roundTrip + regroup)
  const size = refused > 0 ? `**${refused} refused**` : fixed(perSecond / batches, 1)
  return [
    fixed(rate, 0),
    fixed(roundTrip * 1000, 2),
    fixed(each, 1),
    fixed(expected, 1),
    fixed(each / expected, 2),
    size
  ]
}

function ceilingTable(most: Ceiling[]): string {
  const lines = most.map(({ clients, depth, perSecond, cpu }) => {
    return [fixed(clients, 0), String(depth), fixed(perSecond, 0), fixed(cpu, 1), fixed(1e6 / cpu, 0)]
  })
  return table(
    ['connections', 'in flight on each', 'batches/s', 'Redis CPU µs each', 'a core of its own: batches/s'],
    lines
  )
}
