import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { createChannel } from '../src/ipc/channel.ts'
import { scratchFolder } from './children.ts'
import { type Command, count, type Flags, text } from './command.ts'
import { machine, machineLine } from './machine.ts'
import { fixed, table } from './markdown.ts'
import { median } from './ratios.ts'
import { provideRedis } from './redis.ts'
import type { AskOfPrimary, AskOfWorker, Measured, WayName } from './state-child.ts'

const AT_A_TIME = 32

/** What each way is, and what a state that is kept so outlives. */
const WAYS: Readonly<Record<WayName, readonly [about: string, ...outlives: string[]]>> = {
  local: ['a local variable', 'no', 'no', 'no', 'yes', 'no'],
  ipc: ['a variable of the primary, asked by IPC', 'yes', 'yes', 'no', 'yes', 'no'],
  setting: ['`app.shared.settings`, replicated', 'yes', 'yes', 'yes', 'yes', 'yes'],
  incr: ['Redis, an `INCR` a request', 'yes', 'yes', 'yes', 'yes, from its file', 'yes'],
  counter: ['Redis, in batches: `app.shared.counter`', 'yes', 'yes', 'yes', 'yes, from its file', 'yes']
}
const OUTLIVES = ['a worker', 'a reload', 'the primary', 'a restart of Redis', 'on all hosts']

/** Latency and cost of one operation on a state, by where it is kept. */
export const state: Command = {
  summary: 'what one operation on a state costs, by where it is kept',
  options: {
    rounds: { type: 'string', default: '5', help: 'rounds; every way is measured once in each' },
    seconds: { type: 'string', default: '2', help: `length of one measurement, alone and ${AT_A_TIME} at a time` },
    redis: { type: 'string', help: 'URL of a Redis to write to, instead of one started for the run' }
  },
  run
}

async function run(flags: Flags): Promise<void> {
  const rounds = count(flags, 'rounds', 100)
  const seconds = count(flags, 'seconds', 60)
  const redis = await provideRedis(text(flags, 'redis'), scratchFolder())
  const child = fork(fileURLToPath(new URL('./state-child.js', import.meta.url)), { stdio: ['ignore', 2, 2, 'ipc'] })
  const channel = createChannel<never, never, AskOfWorker, AskOfPrimary>(child)
  let variable = 0
  channel.answer('value', () => ++variable)
  try {
    const ways = await channel.ask('open', { redisUrl: redis.url }, 30_000)
    const measured = new Map<WayName, Measured[]>(ways.map((way) => [way, []]))
    for (let round = 0; round <= rounds; round++) {
      for (const [way, samples] of measured) {
        const sample = await channel.ask('measure', { way, seconds, atATime: AT_A_TIME }, seconds * 2000 + 30_000)
        // The first round only warms up.
        if (round > 0) samples.push(sample)
        console.error(`round ${round}/${rounds} ${way}: ${Math.round(sample.crowd.perSecond)} a second`)
      }
    }
    const how = `One worker and its primary, medians of ${rounds} interleaved rounds of ${seconds} s.`
    console.log([`${machineLine(machine(redis.version))}\n${how}`, costs(measured), outlives(ways)].join('\n\n'))
  } finally {
    child.kill('SIGKILL')
  }
}

function costs(measured: Map<WayName, Measured[]>): string {
  const many = `${AT_A_TIME} at a time:`
  const head = ['state', 'alone: p50 µs', 'p99 µs', `${many} p50 µs`, 'p99 µs', 'operations/s', 'worker CPU µs each']
  const lines = [...measured].map(([way, samples]) => {
    const middle = (of: (sample: Measured) => number, digits?: number) => {
      const value = median(samples.map(of))
      return fixed(value, digits ?? (value < 1 ? 3 : 1))
    }
    return [
      WAYS[way][0],
      middle(({ alone }) => alone.p50),
      middle(({ alone }) => alone.p99),
      middle(({ crowd }) => crowd.p50),
      middle(({ crowd }) => crowd.p99),
      middle(({ crowd }) => crowd.perSecond, 0),
      middle(({ crowd }) => crowd.cpu)
    ]
  })
  return table(head, lines)
}

const outlives = (ways: WayName[]): string =>
  table(
    ['state', ...OUTLIVES],
    ways.map((way) => [...WAYS[way]]),
    OUTLIVES
  )
