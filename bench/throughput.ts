import { writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { scratchFolder } from './children.ts'
import { type Command, count, type Flags, list, text } from './command.ts'
import { cases } from './load/load.ts'
import { machine } from './machine.ts'
import { pssMiB } from './measure.ts'
import { isShared, ownNames, type ServerName, serverNames, startServer } from './recipes.ts'
import { provideRedis } from './redis.ts'
import { type Memory, type Report, type RunSettings, toMarkdown } from './report.ts'
import { measureAll, warnIfBusy } from './rounds.ts'
import type { Server } from './servers.ts'

/** Requests a second, latency, CPU a request and memory of the servers, side by side in interleaved rounds. */
export const throughput: Command = {
  summary: 'some of the rows on some of the servers',
  options: {
    rounds: { type: 'string', default: '5', help: 'rounds; every server is measured once in each' },
    seconds: { type: 'string', default: '5', help: 'length of one measurement' },
    connections: { type: 'string', default: '64', help: 'connections at a time' },
    workers: { type: 'string', default: '2', help: 'worker processes of each server' },
    only: {
      type: 'string',
      help: `servers, comma-separated, of ${serverNames.join(', ')} (default ${ownNames.join(',')})`
    },
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
  const only = text(flags, 'only') === undefined ? ownNames : list(flags, 'only', serverNames)
  const rows = list(flags, 'cases', cases)
  warnIfBusy()
  const folder = scratchFolder()
  const shared = only.some(isShared)
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

async function memoryOf(servers: Server<ServerName>[]): Promise<Memory[]> {
  await sleep(1000)
  return servers.map((server) => {
    const pids = server.pids()
    return { server: server.name, processes: pids.length, pssMiB: pssMiB(pids) }
  })
}
