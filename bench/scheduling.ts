import { writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { scratchFolder } from './children.ts'
import { type Command, count, type Flags, list, text } from './command.ts'
import { balance } from './load/balance.ts'
import { Load } from './load/load.ts'
import { machine } from './machine.ts'
import { cpuBetween, cpuTimes, descendants } from './measure.ts'
import { provideRedis } from './redis.ts'
import {
  type Mode,
  modes,
  type Row,
  rows,
  type Sample,
  type SchedulingReport,
  type SchedulingSettings,
  toMarkdown
} from './scheduling-report.ts'
import { type Running, startProgram } from './servers.ts'

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
const hasReusePort = major > 22 || (major === 22 && minor >= 12)
const possible = modes.filter((mode) => mode !== 'reuseport' || hasReusePort)
/** As in the design's first measurement: enough to see a pattern, few enough to be one burst. */
const balanced = 200

interface Server extends Running {
  readonly mode: Mode
}

/** What each value of SCHEDULING costs, and how evenly it deals. */
export const scheduling: Command = {
  summary: 'balance, throughput and CPU a request of each SCHEDULING, side by side',
  options: {
    rounds: { type: 'string', default: '5', help: 'rounds; every mode is measured once in each' },
    seconds: { type: 'string', default: '4', help: 'length of one measurement' },
    connections: { type: 'string', default: '64', help: 'connections at a time, each from an address of its own' },
    workers: { type: 'string', default: '4', help: 'worker processes of each server' },
    only: { type: 'string', help: `modes, comma-separated, of ${possible.join(', ')}` },
    redis: { type: 'string', help: 'URL of a Redis to write to, instead of one started for the run' },
    json: { type: 'string', help: 'also write settings and every sample to this file' }
  },
  run
}

async function run(flags: Flags): Promise<void> {
  const settings: SchedulingSettings = {
    rounds: count(flags, 'rounds', 100),
    seconds: count(flags, 'seconds', 600),
    connections: count(flags, 'connections', 250),
    workers: count(flags, 'workers', 64),
    balanced
  }
  const only = list(flags, 'only', possible)
  const folder = scratchFolder()
  const redis = await provideRedis(text(flags, 'redis'), folder)
  const servers: Server[] = []
  for (const mode of only) {
    // The loss is in a reload, which this does not measure.
    const program = { name: mode, file: '../src/main.js', env: { SCHEDULING: mode, REUSEPORT_LOSS: 'allow' } }
    servers.push({ mode, ...(await startProgram(program, { workers: settings.workers, redisUrl: redis.url, folder })) })
  }
  const report: SchedulingReport = {
    machine: machine(redis.version),
    settings,
    modes: only,
    ...(await measureAll(servers, settings))
  }
  await Promise.all(servers.map((server) => server.stop()))
  console.log(toMarkdown(report))
  const file = text(flags, 'json')
  if (file !== undefined) writeFileSync(resolve(file), `${JSON.stringify(report, null, 2)}\n`)
}

async function measureAll(
  servers: Server[],
  settings: SchedulingSettings
): Promise<Pick<SchedulingReport, 'samples' | 'balances'>> {
  const load = new Load()
  const samples: Sample[] = []
  const balances: SchedulingReport['balances'][number][] = []
  try {
    for (const row of rows) for (const server of servers) await measure(load, server, row, { ...settings, seconds: 1 })
    for (let round = 1; round <= settings.rounds; round++) {
      for (const { mode, url } of servers) {
        balances.push({ mode, counts: await balance(url, balanced, settings.workers) })
      }
      for (const row of rows) {
        for (const server of servers) {
          const sample = await measure(load, server, row, settings)
          samples.push(sample)
          console.error(
            `round ${round}/${settings.rounds} ${row} ${server.mode}: ${Math.round(sample.perSecond)} req/s`
          )
        }
      }
    }
  } finally {
    load.stop()
  }
  return { samples, balances }
}

async function measure(load: Load, server: Server, row: Row, settings: SchedulingSettings): Promise<Sample> {
  // what the one before left to be closed and collected belongs to nobody's window
  await sleep(200)
  const { connections, seconds } = settings
  const job = { row, url: server.url, connections, seconds, shared: true, spread: true }
  const { result, before, after } = await load.run(job, () => cpuTimes(descendants(server.child.pid ?? 0)))
  const cpu = cpuBetween(before, after).micros / result.requests
  return { ...result, mode: server.mode, row, perSecond: result.requests / result.seconds, cpu }
}
