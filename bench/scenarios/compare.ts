import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { AGAINST, type Contestant, contestants, musterOf, own, peers, startContestant } from '../contestants.ts'
import { Load, type Row, rows, rowTitles } from '../load/load.ts'
import { pssMiB } from '../processes.ts'
import { Monitor } from '../redis.ts'
import { howMeasured, legend, median, paired, rateColumns, sampleTable, spread, table, valuesOf } from '../report.ts'
import { type Measured, measureRounds } from '../rounds.ts'
import { BenchError, type Context, type Sample, type Scenario } from '../scenario.ts'
import type { Running, ServerSettings } from '../servers.ts'

const MEMORY = 'Memory'
const COMMANDS = 'Redis commands'
const BOOT = 'Fork to ready'
const SETTLE_MS = 2000
/** Idle connections stay open for longer than the measurement takes, with every server alike. */
const KEPT = { KEEP_ALIVE_TIMEOUT: '120000' }
const { hit, session, connect } = rowTitles

/** A target: the median of the values, absolute or as a ratio to another server in the same round. */
interface Target {
  readonly what: string
  readonly from: readonly [table: string, value: string, subject: string]
  readonly base?: string
  readonly digits: number
  readonly unit: string
  readonly max?: number
  readonly min?: number
}

const ratio = { digits: 2, unit: ' ×' }
const ms = { digits: 0, unit: ' ms' }
const TARGETS: readonly Target[] = [
  { what: '`POST /hits`: CPU, × bare', from: [hit, 'cpu', 'muster'], base: 'bare', ...ratio, max: 1.1 },
  { what: '`POST /hits`: requests/s, × bare', from: [hit, 'perSecond', 'muster'], base: 'bare', ...ratio, min: 0.9 },
  {
    what: 'page with a session: CPU, × by-the-book',
    from: [session, 'cpu', 'muster'],
    base: 'by-the-book',
    ...ratio,
    max: 0.45
  },
  {
    what: 'connection per request, `SCHEDULING=shared`: requests/s, × by-the-book',
    from: [connect, 'perSecond', 'muster-shared'],
    base: 'by-the-book',
    ...ratio,
    min: 1.8
  },
  {
    what: 'the same, × bare, which uses round robin',
    from: [connect, 'perSecond', 'muster-shared'],
    base: 'bare',
    ...ratio
  },
  { what: 'bare on a shared socket, × bare', from: [connect, 'perSecond', 'bare-shared'], base: 'bare', ...ratio },
  {
    what: 'memory (PSS) of primary and workers, × bare',
    from: [MEMORY, 'pssMiB', 'muster'],
    base: 'bare',
    ...ratio,
    max: 1.2
  },
  { what: 'fork to ready', from: [BOOT, 'coldMs', 'muster'], ...ms, max: 250 },
  { what: 'fork to ready with a compile cache', from: [BOOT, 'warmMs', 'muster'], ...ms, max: 250 },
  { what: 'Node until it has loaded the packages of a worker', from: [BOOT, 'packagesMs', 'muster'], ...ms },
  {
    what: 'memory that an idle connection adds',
    from: [MEMORY, 'idleKiB', 'muster'],
    digits: 1,
    unit: ' KiB',
    max: 12
  },
  { what: 'the same, bare', from: [MEMORY, 'idleKiB', 'bare'], digits: 1, unit: ' KiB' },
  { what: 'Redis commands per 1,000 hits', from: [COMMANDS, 'hit', 'muster'], digits: 1, unit: '', max: 40 }
]

export const compare: Scenario = {
  summary: 'requests, CPU, memory, boot and Redis commands beside bare Fastify and others; about eight minutes',
  defaults: { rounds: 5, seconds: 4 },
  names: Object.keys(contestants),
  options: {
    peer: `also these, comma-separated, of ${Object.keys(peers).join(', ')}: installed into .bench/`,
    rows: `kinds of load, comma-separated, of ${rows.join(', ')}`,
    idle: 'idle connections to measure the memory of one (default 10000, 0: none)',
    against: AGAINST,
    quick: 'yes: requests only, without memory, boot and Redis commands'
  },
  async run(context) {
    const asked = context.option('only')?.split(',') ?? [
      ...Object.keys(own),
      ...(context.option('peer')?.split(',') ?? [])
    ]
    context.select(Object.keys(contestants))
    const names = Object.keys(contestants).filter((name) => asked.includes(name))
    if (names.length < asked.length) throw new BenchError(`--only and --peer: servers are ${Object.keys(contestants)}`)
    const wanted = rows.filter((row) => context.option('rows')?.split(',').includes(row) ?? true)
    const against = context.option('against')
    const servers: Record<string, Contestant> = {
      ...(against !== undefined && { before: musterOf(against) }),
      ...Object.fromEntries(names.map((name) => [name, contestants[name]!]))
    }
    const samples = await measureRequests(context, servers, wanted)
    if (!context.option('quick')) samples.push(...(await measureAlone(context, servers)))
    const columns = rateColumns(names.includes('bare') ? 'bare' : names[0])
    const requests = wanted.map((row) => `### ${rowTitles[row]}\n\n${sampleTable(samples, rowTitles[row], columns)}`)
    const rest = context.option('quick') ? [] : [memoryTable(samples), bootTable(samples), commandTable(samples)]
    const parts = [howMeasured(context.settings), legend(servers), targetTable(samples), ...requests, ...rest]
    return { samples, report: parts.join('\n\n') }
  }
}

const isMuster = (name: string) => name === 'muster' || name === 'before'

/** With all servers running: rates and CPU in interleaved rounds, and Redis commands at the end of each round. */
async function measureRequests(
  context: Context,
  servers: Record<string, Contestant>,
  wanted: readonly Row[]
): Promise<Sample[]> {
  const commands: Sample[] = []
  const { connections } = context.settings
  const samples = await measureRounds(context, servers, wanted, {}, async (running, load) => {
    if (context.option('quick')) return
    for (const server of running) {
      if (!server.shared || server.rows) continue
      commands.push(await countCommands(load, server, (await context.redis()).url, connections))
    }
  })
  return [...samples, ...commands]
}

async function countCommands(load: Load, { running, shared }: Measured, redisUrl: string, connections: number) {
  const values: Record<string, number> = {}
  for (const row of ['hit', 'session'] as const) {
    const monitor = await Monitor.open(redisUrl)
    const job = { row, url: running.url, connections, seconds: 1, shared }
    const { result, before, after } = await load.run(job, () => monitor.seen())
    monitor.close()
    values[row] = ((after.sent - before.sent) * 1000) / result.requests
    values[`${row} in scripts`] = ((after.inScripts - before.inScripts) * 1000) / result.requests
  }
  return { table: COMMANDS, subject: running.name, values }
}

/** With one server running at a time: processes share code, so servers beside it would change its memory. */
async function measureAlone(context: Context, servers: Record<string, Contestant>): Promise<Sample[]> {
  const { settings, folder } = context
  const { url: redisUrl } = await context.redis()
  const start = { workers: settings.workers, redisUrl, folder }
  const samples: Sample[] = []
  for (let round = 1; round <= settings.rounds; round++) {
    for (const [name, contestant] of Object.entries(servers)) {
      if (contestant.rows) continue
      const idle = name === 'bare' || isMuster(name) ? Number(context.option('idle') ?? 10_000) : 0
      samples.push(await measureMemory(name, contestant, start, settings.connections, idle))
      if (isMuster(name)) samples.push(await measureBoot(name, contestant, start))
    }
  }
  return samples
}

async function measureMemory(
  name: string,
  contestant: Contestant,
  start: ServerSettings,
  connections: number,
  idle: number
): Promise<Sample> {
  const server = await startContestant(name, contestant, start, KEPT)
  const load = new Load()
  try {
    const { url } = server
    for (const row of ['hit', 'session'] as const) {
      await load.run({ row, url, connections, seconds: 2, shared: contestant.shared }, () => undefined)
    }
    await sleep(SETTLE_MS)
    const pids = server.pids()
    const memory = pssMiB(pids)
    await load.hold(url, idle)
    await sleep(SETTLE_MS)
    const idleKiB = idle > 0 ? ((pssMiB(pids) - memory) * 1024) / idle : Number.NaN
    console.error(`memory ${name}: ${Math.round(memory)} MiB`)
    return { table: MEMORY, subject: name, values: { processes: pids.length, pssMiB: memory, idleKiB } }
  } finally {
    load.stop()
    await server.stop()
  }
}

/** Starts the service twice with one worker; the second start finds the compile cache of the first. */
async function measureBoot(name: string, contestant: Contestant, start: ServerSettings): Promise<Sample> {
  const cache = mkdtempSync(join(start.folder, 'cache-'))
  const coldMs = await forkToReady(contestant, start, cache)
  const warmMs = await forkToReady(contestant, start, cache)
  const packages = fileURLToPath(new URL('../apps/packages.js', import.meta.url))
  const packagesMs = Number((await promisify(execFile)(process.execPath, [packages])).stdout)
  console.error(
    `boot ${name}: ${coldMs} ms, with a compile cache ${warmMs} ms, packages alone ${Math.round(packagesMs)} ms`
  )
  return { table: BOOT, subject: name, values: { coldMs, warmMs, packagesMs } }
}

async function forkToReady(contestant: Contestant, start: ServerSettings, cache: string): Promise<number> {
  // The times are those of the log, at the level that contains them.
  const env = { LOG_LEVEL: 'info', XDG_CACHE_HOME: cache }
  const running = await startContestant('boot', contestant, { ...start, workers: 1 }, env)
  try {
    return await readBootTime(running)
  } finally {
    // The cache is written when the worker ends.
    await running.stop()
  }
}

async function readBootTime({ log }: Running): Promise<number> {
  for (const end = Date.now() + 5000; Date.now() < end; await sleep(20)) {
    const lines = readFileSync(log, 'utf8').split('\n')
    const timeOf = (message: RegExp) => Number(/"time":(\d+)/.exec(lines.find((line) => message.test(line)) ?? '')?.[1])
    const took = timeOf(/"msg":"worker (is )?ready"/) - timeOf(/"msg":"worker (starts|started)"/)
    if (Number.isFinite(took)) return took
  }
  throw new BenchError('the log does not contain when a worker started and was ready')
}

function targetTable(samples: readonly Sample[]): string {
  const lines = TARGETS.flatMap(({ what, from: [name, value, subject], base, digits, unit, max, min }) => {
    const absolute = valuesOf(samples, name, subject, value)
    const values = base ? paired(absolute, valuesOf(samples, name, base, value)) : absolute
    if (!values.some(Number.isFinite)) return []
    const target = max !== undefined ? `≤ ${max}${unit}` : min !== undefined ? `≥ ${min}${unit}` : '–'
    const middle = median(values)
    const reached = middle <= (max ?? middle) && middle >= (min ?? middle) ? 'yes' : 'no'
    return [[what, `${spread(values, digits)}${unit}`, target, target === '–' ? '–' : reached]]
  })
  return `### Targets\n\n${table(['what', 'measured', 'target', 'reached'], lines, ['reached'])}`
}

function bootTable(samples: readonly Sample[]): string {
  const columns = ['coldMs', 'warmMs', 'packagesMs'].map((value) => ({ head: value, value, digits: 0 }))
  return `### ${BOOT}\n\n${sampleTable(samples, BOOT, columns)}`
}

function memoryTable(samples: readonly Sample[]): string {
  const columns = [
    { head: 'processes', value: 'processes', digits: 0 },
    { head: 'PSS MiB', value: 'pssMiB', digits: 0, base: 'bare' },
    { head: 'KiB per idle connection', value: 'idleKiB', digits: 1 }
  ]
  const note = 'PSS of all processes of a server that runs alone, after 2 s of hits and 2 s of pages.'
  return `### ${MEMORY}\n\n${sampleTable(samples, MEMORY, columns)}\n\n${note}`
}

function commandTable(samples: readonly Sample[]): string {
  const columns = ['hit', 'hit in scripts', 'session', 'session in scripts'].map((value) => {
    return { head: `per 1,000: ${value}`, value, digits: 1 }
  })
  return `### ${COMMANDS}\n\n${sampleTable(samples, COMMANDS, columns)}`
}
