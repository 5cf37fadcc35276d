import { writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { type Boot, measureBoot } from './boot.ts'
import { scratchFolder } from './children.ts'
import { type Command, count, type Flags, list, text } from './command.ts'
import { type Fresh, measureFresh } from './fresh.ts'
import { cases, Load } from './load/load.ts'
import { machine } from './machine.ts'
import { Monitor } from './monitor.ts'
import { peerNames } from './peers.ts'
import {
  type CommandCount,
  type CountedRow,
  countedRows,
  type ReachReport,
  type ReachSettings,
  toMarkdown
} from './reach-report.ts'
import { isShared, ownNames, type ServerName, startServer } from './recipes.ts'
import { provideRedis } from './redis.ts'
import { measureAll, warnIfBusy } from './rounds.ts'
import type { Server } from './servers.ts'

/** Everything that docs/performance.md says is to be reached, measured in one run. */
export const reach: Command = {
  summary: 'all that is to be reached, beside bare Fastify and what one writes by the book: some eight minutes',
  options: {
    rounds: { type: 'string', default: '5', help: 'rounds; every server is measured once in each' },
    seconds: { type: 'string', default: '4', help: 'length of one measurement' },
    connections: { type: 'string', default: '64', help: 'connections at a time' },
    workers: { type: 'string', default: '2', help: 'worker processes of each server' },
    idle: { type: 'string', default: '10000', help: 'idle connections that are held to see what one costs' },
    peer: { type: 'string', help: `also these, comma-separated, of ${peerNames.join(', ')}: installed into .bench/` },
    redis: { type: 'string', help: 'URL of a Redis to write to, instead of one started for the run' },
    json: { type: 'string', help: 'also write settings and every sample to this file' }
  },
  run
}

interface Setting {
  readonly settings: ReachSettings
  readonly redisUrl: string
  readonly folder: string
}

async function run(flags: Flags): Promise<void> {
  const settings: ReachSettings = {
    rounds: count(flags, 'rounds', 100),
    seconds: count(flags, 'seconds', 600),
    connections: count(flags, 'connections', 4096),
    workers: count(flags, 'workers', 256),
    idle: count(flags, 'idle', 50_000)
  }
  const asked = text(flags, 'peer') === undefined ? [] : list(flags, 'peer', peerNames)
  const servers: ServerName[] = [...ownNames, ...asked]
  warnIfBusy()
  const folder = scratchFolder()
  const redis = await provideRedis(text(flags, 'redis'), folder)
  const setting: Setting = { settings, redisUrl: redis.url, folder }
  const sideBySide = await measureRates(servers, setting)
  const { fresh, boots } = await measureAlone(servers, setting)
  const report: ReachReport = { machine: machine(redis.version), settings, servers, ...sideBySide, fresh, boots }
  console.log(toMarkdown(report))
  const file = text(flags, 'json')
  if (file !== undefined) writeFileSync(resolve(file), `${JSON.stringify(report, null, 2)}\n`)
}

/** With all servers alive: rates and CPU, and at the end of each round what they ask of Redis. */
async function measureRates(names: ServerName[], { settings, redisUrl, folder }: Setting) {
  const servers: Server<ServerName>[] = []
  const load = new Load()
  try {
    for (const name of names) servers.push(await startServer(name, { workers: settings.workers, redisUrl, folder }))
    const countOne = async ({ name, url, shared }: Server<ServerName>, row: CountedRow): Promise<CommandCount> => {
      const monitor = await Monitor.open(redisUrl)
      const job = { row, url, connections: settings.connections, seconds: 1, shared } as const
      const { result, before, after } = await load.run(job, () => monitor.seen())
      monitor.close()
      const [sent, inScripts] = [after.sent - before.sent, after.inScripts - before.inScripts]
      return { server: name, row, requests: result.requests, sent, inScripts }
    }
    const counted = servers.filter(({ name, rows }) => isShared(name) && rows.includes('hit'))
    const commands: CommandCount[] = []
    const samples = await measureAll(servers, [...cases], settings, async () => {
      for (const server of counted) for (const row of countedRows) commands.push(await countOne(server, row))
    })
    return { samples, commands }
  } finally {
    load.stop()
    await Promise.all(servers.map((server) => server.stop()))
  }
}

/** With one server alive at a time: memory, idle connections, and how long a worker takes to be ready. */
async function measureAlone(names: ServerName[], { settings, redisUrl, folder }: Setting) {
  const fresh: Fresh[] = []
  const boots: Boot[] = []
  const { rounds, workers, connections } = settings
  for (let round = 1; round <= rounds; round++) {
    for (const name of names) {
      if (name.endsWith('-shared')) continue
      const idle = name === 'bare' || name === 'muster' ? settings.idle : 0
      fresh.push(await measureFresh(name, { workers, redisUrl, folder, connections, idle }))
    }
    boots.push(await measureBoot({ workers: 1, redisUrl, folder }))
  }
  return { fresh, boots }
}
