import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Contestant, startContestant } from '../contestants.ts'
import { Load } from '../load/load.ts'
import { pssMiB } from '../processes.ts'
import { measureWindow } from '../rounds.ts'
import { BenchError, type Context, type Sample, type Settings } from '../scenario.ts'
import type { Running, ServerSettings } from '../servers.ts'
import { measureWay } from './reload.ts'

export const COMMANDS = 'Redis commands'
export const MEMORY = 'Memory'
export const MANY = 'Many workers'
export const BOOT = 'Fork to ready'
export const RELOAD = 'Reload under mixed load'
/** How many times as many workers the table of many workers is about. */
const MANY_FACTOR = 4
/** How long many workers get hits before they are measured, in seconds: each has few, and V8 optimizes what has run often. */
const WARM_UP_S = 10
const SETTLE_MS = 2000
/** An old worker that has not left after this time of a reload is killed. */
const STOP_MS = 3000
/** Idle connections stay open for longer than the measurement takes, and many workers may boot slowly on a few cores. */
const ENV = { KEEP_ALIVE_TIMEOUT: '120000', BOOT_TIMEOUT: '60000' }

const isMuster = (name: string) => name === 'muster' || name === 'before'

/** With one server running at a time: processes share code, so servers beside it would change its memory. */
export async function measureAlone(context: Context, servers: Readonly<Record<string, Contestant>>): Promise<Sample[]> {
  const { settings, folder } = context
  const { url: redisUrl } = await context.redis()
  const start = { workers: settings.workers, redisUrl, folder }
  const samples: Sample[] = []
  for (let round = 1; round <= settings.rounds; round++) {
    for (const [name, contestant] of Object.entries(servers)) {
      if (contestant.rows) continue
      const idle = name === 'bare' || isMuster(name) ? Number(context.option('idle') ?? 10_000) : 0
      const memory = await measureMemory(name, contestant, start, settings.connections, idle)
      samples.push(memory)
      samples.push(await measureMany(name, contestant, start, settings, memory.values.pssMiB!))
      if (isMuster(name)) samples.push(await measureBoot(name, contestant, start))
    }
    if (servers.muster) samples.push(await measureReload(context))
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
  const server = await startContestant(name, contestant, start, ENV)
  const load = new Load()
  try {
    const { url } = server
    const pssAfterLoad = await memoryAfterLoad(load, server, contestant, connections)
    await load.hold(url, idle)
    await sleep(SETTLE_MS)
    const pids = server.pids()
    const idleKiB = idle > 0 ? ((pssMiB(pids) - pssAfterLoad) * 1024) / idle : Number.NaN
    console.error(`memory ${name}: ${Math.round(pssAfterLoad)} MiB`)
    return { table: MEMORY, subject: name, values: { processes: pids.length, pssMiB: pssAfterLoad, idleKiB } }
  } finally {
    load.stop()
    await server.stop()
  }
}

/**
 * More workers than cores: hits, and what each worker adds to the memory.
 * @param fewPssMiB memory of the same server with the usual number of workers
 */
async function measureMany(
  name: string,
  contestant: Contestant,
  start: ServerSettings,
  { connections, seconds }: Settings,
  fewPssMiB: number
): Promise<Sample> {
  const workers = MANY_FACTOR * start.workers
  const server = await startContestant(name, contestant, { ...start, workers }, ENV)
  const load = new Load()
  try {
    const job = { row: 'hit', url: server.url, connections, seconds, shared: contestant.shared } as const
    await load.run({ ...job, seconds: WARM_UP_S }, () => undefined)
    const pssAfterLoad = await memoryAfterLoad(load, server, contestant, connections)
    const { values, failures } = await measureWindow(load, server, job)
    const furtherMiB = (pssAfterLoad - fewPssMiB) / (workers - start.workers)
    console.error(`${workers} workers ${name}: ${Math.round(values.perSecond)} req/s`)
    return { table: MANY, subject: name, values: { ...values, furtherMiB }, failures }
  } finally {
    load.stop()
    await server.stop()
  }
}

/** The memory of a server after 2 s of hits and 2 s of pages, in MiB. */
async function memoryAfterLoad(load: Load, { url, pids }: Running, { shared }: Contestant, connections: number) {
  for (const row of ['hit', 'session'] as const) {
    await load.run({ row, url, connections, seconds: 2, shared }, () => undefined)
  }
  await sleep(SETTLE_MS)
  return pssMiB(pids())
}

/** One reload beside the clients of the scenario `reload`. */
async function measureReload(context: Context): Promise<Sample> {
  const { values, failures } = await measureWay(
    { ...context, settings: { ...context.settings, rounds: 1 } },
    'muster',
    STOP_MS
  )
  return { table: RELOAD, subject: 'muster', values: { seconds: values.restartMs! / 1000 }, failures: failures ?? {} }
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
