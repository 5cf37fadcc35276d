import { writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { scratchFolder } from './children.ts'
import { type Command, count, type Flags, list, text } from './command.ts'
import { type Case, cases, type Job, Load } from './load.ts'
import { machine } from './machine.ts'
import { cpuBetween, cpuTimes, pssMiB } from './measure.ts'
import { provideRedis } from './redis.ts'
import { type Memory, type Report, type RunSettings, type Sample, toMarkdown } from './report.ts'
import { recipes, type Server, type ServerName, startServer } from './servers.ts'

const names = Object.keys(recipes) as ServerName[]

/** Requests a second, latency, CPU a request and memory of the servers, side by side in interleaved rounds. */
export const throughput: Command = {
  summary: 'what a hit, a session and a connection a request cost on each server, side by side',
  options: {
    rounds: { type: 'string', default: '5', help: 'rounds; every server is measured once in each' },
    seconds: { type: 'string', default: '5', help: 'length of one measurement' },
    connections: { type: 'string', default: '64', help: 'connections at a time' },
    workers: { type: 'string', default: '2', help: 'worker processes of each server' },
    only: { type: 'string', help: `servers, comma-separated, of ${names.join(', ')}` },
    cases: { type: 'string', help: `rows, comma-separated, of ${cases.join(', ')}` },
    redis: { type: 'string', help: 'URL of a Redis to write to, instead of one started for the run' },
    json: { type: 'string', help: 'also write settings, every sample and the memory to this file' }
  },
  run
}

async function run(flags: Flags): Promise<void> {
  const settings: RunSettings = {
    rounds: count(flags, 'rounds', 100),
    seconds: count(flags, 'seconds', 600),
    connections: count(flags, 'connections', 4096),
    workers: count(flags, 'workers', 256)
  }
  const only = list(flags, 'only', names)
  const rows = list(flags, 'cases', cases)
  warnIfBusy()
  const folder = scratchFolder()
  const shared = only.some((name) => recipes[name].shared)
  const redis = shared ? await provideRedis(text(flags, 'redis'), folder) : undefined
  const servers: Server<ServerName>[] = []
  for (const name of only) {
    servers.push(await startServer(name, { workers: settings.workers, redisUrl: redis?.url, folder }))
  }
  const samples = await measureAll(servers, rows, settings)
  const memory = await memoryOf(servers)
  await Promise.all(servers.map((server) => server.stop()))
  const report: Report = { machine: machine(redis?.version), settings, servers: only, rows, samples, memory }
  console.log(toMarkdown(report))
  const file = text(flags, 'json')
  if (file !== undefined) writeFileSync(resolve(file), `${JSON.stringify(report, null, 2)}\n`)
}

export function warnIfBusy(): void {
  const [lastMinute = 0] = loadavg()
  if (lastMinute > 0.5) console.error(`The load average is ${lastMinute.toFixed(1)} already: expect wide spreads.`)
}

/** Every server once in each round, after a second of each that does not count. */
export async function measureAll<Name extends string>(
  servers: Server<Name>[],
  rows: Case[],
  settings: RunSettings
): Promise<Sample<Name>[]> {
  const load = new Load()
  const samples: Sample<Name>[] = []
  try {
    for (const row of rows)
      for (const server of servers) await load.run(jobFor(server, row, settings, 1), () => undefined)
    for (let round = 1; round <= settings.rounds; round++) {
      for (const row of rows) {
        for (const server of servers) samples.push(await measure(load, server, row, round, settings))
      }
    }
  } finally {
    load.stop()
  }
  return samples
}

async function measure<Name extends string>(
  load: Load,
  server: Server<Name>,
  row: Case,
  round: number,
  settings: RunSettings
): Promise<Sample<Name>> {
  // what the one before left to be closed and collected belongs to nobody's window
  await sleep(200)
  const job = jobFor(server, row, settings, settings.seconds)
  const { result, before, after } = await load.run(job, () => cpuTimes(server.pids()))
  const { micros, gone } = cpuBetween(before, after)
  const failures = gone > 0 ? { ...result.failures, 'server process gone': gone } : result.failures
  const perSecond = result.requests / result.seconds
  const sample: Sample<Name> = {
    ...result,
    failures,
    server: server.name,
    row,
    round,
    perSecond,
    cpu: micros / result.requests
  }
  console.error(`round ${round}/${settings.rounds} ${row} ${server.name}: ${Math.round(perSecond)} req/s`)
  return sample
}

function jobFor(server: Server, row: Case, settings: RunSettings, seconds: number): Job {
  return { row, url: server.url, connections: settings.connections, seconds, shared: server.shared }
}

async function memoryOf(servers: Server<ServerName>[]): Promise<Memory[]> {
  await sleep(1000)
  return servers.map((server) => {
    const pids = server.pids()
    return { server: server.name, processes: pids.length, pssMiB: pssMiB(pids) }
  })
}
