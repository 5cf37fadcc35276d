import { readFileSync } from 'node:fs'
import { scratchFolder } from './children.ts'
import { BenchError, type Command, count, type Flags, list, text } from './command.ts'
import { cases } from './load/load.ts'
import { machine, machineLine } from './machine.ts'
import { provideRedis } from './redis.ts'
import { caseTable, type RunSettings } from './report.ts'
import { measureAll, warnIfBusy } from './rounds.ts'
import { type Program, type Server, serverOf, startProgram } from './servers.ts'

const file = '../src/main.js'
const preload = `--import ${new URL('./apps/unmeasured.js', import.meta.url).href}`
const unmeasured = { NODE_OPTIONS: [process.env.NODE_OPTIONS, preload].filter(Boolean).join(' ') }

/** The same service, each with more of what watches it; the first is what the ratios refer to. */
const variants = {
  neither: { about: 'no metrics of requests and of Redis, no line a request', env: unmeasured },
  metrics: { about: 'all metrics, no line a request (`LOG_LEVEL=warn`)', env: {} },
  'metrics and log': {
    about: 'all metrics, and a line a request (`LOG_LEVEL=info`), to a file',
    env: { LOG_LEVEL: 'info' }
  }
} as const satisfies Record<string, { about: string; env: Program['env'] }>
type Variant = keyof typeof variants
const names = Object.keys(variants) as Variant[]

/** What metrics and the log of requests cost, side by side in interleaved rounds. */
export const overhead: Command = {
  summary: 'what metrics and the log of requests cost',
  options: {
    rounds: { type: 'string', default: '20', help: 'rounds; every variant is measured once in each' },
    seconds: { type: 'string', default: '1', help: 'length of one measurement' },
    connections: { type: 'string', default: '64', help: 'connections at a time' },
    workers: { type: 'string', default: '2', help: 'worker processes of each' },
    cases: { type: 'string', default: 'hit', help: `rows, comma-separated, of ${cases.join(', ')}` },
    redis: { type: 'string', help: 'URL of a Redis to write to, instead of one started for the run' }
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
  const rows = list(flags, 'cases', cases)
  warnIfBusy()
  const folder = scratchFolder()
  const redis = await provideRedis(text(flags, 'redis'), folder)
  const servers: Server<Variant>[] = []
  const logs: string[] = []
  for (const name of names) {
    const program = { name, file, env: variants[name].env }
    const running = await startProgram(program, { workers: settings.workers, redisUrl: redis.url, folder })
    servers.push(serverOf(running, name, true))
    logs.push(running.log)
  }
  const samples = await measureAll(servers, rows, settings)
  const seen = await Promise.all(servers.map(async ({ url }, nth) => [await isMeasured(url), hasRequests(logs[nth]!)]))
  await Promise.all(servers.map((server) => server.stop()))
  if (String(seen) !== 'false,false,true,false,true,true')
    throw new BenchError(`The variants are not what they are called: ${seen}.`)
  const { rounds, seconds, connections, workers } = settings
  const how = `${workers} workers, ${connections} connections, medians of ${rounds} interleaved rounds of ${seconds} s.`
  const legend = names.map((name) => `- ${name}: ${variants[name].about}`).join('\n')
  const tables = rows.map((row) => caseTable({ servers: names, samples }, row, 'neither'))
  console.log([`${machineLine(machine(redis.version))}\n${how}`, legend, ...tables].join('\n\n'))
}

const isMeasured = async (url: string): Promise<boolean> =>
  (await (await fetch(`${url}/metrics`)).text()).includes('http_request_duration_seconds_count')

/** At level info: what was answered with 503 while it started is in all logs. */
const hasRequests = (log: string): boolean => /"level":30,.*"msg":"request"/.test(readFileSync(log, 'utf8'))
