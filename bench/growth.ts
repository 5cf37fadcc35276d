import { writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { scratchFolder } from './children.ts'
import { type Command, count, type Flags, list, text } from './command.ts'
import { type Axis, axes, axisPlot, type GrowthReport, imageOf, type Point, toMarkdown } from './growth-report.ts'
import { writeImage } from './images.ts'
import { IdleConnections } from './load/idle.ts'
import { type Job, Load } from './load/load.ts'
import { machine } from './machine.ts'
import { cpuBetween, cpuTimes, pssMiB } from './measure.ts'
import { type OwnName, startServer } from './recipes.ts'
import { infoOf, provideRedis } from './redis.ts'
import { warnIfBusy } from './rounds.ts'
import type { Server } from './servers.ts'

const axisNames = Object.keys(axes) as Axis[]
/** An idle connection is kept for longer than a measurement takes, and many workers on few cores may boot slowly. */
const env = { KEEP_ALIVE_TIMEOUT: '120000', BOOT_TIMEOUT: '60000' }

/** How cost grows with workers, connections, idle connections and sessions. */
export const growth: Command = {
  summary: 'how cost grows with workers, connections, idle connections and sessions: some four minutes',
  options: {
    rounds: { type: 'string', default: '1', help: 'rounds; every step is measured once in each' },
    seconds: { type: 'string', default: '3', help: 'length of one measurement' },
    axes: { type: 'string', help: `what grows, comma-separated, of ${axisNames.join(', ')}` },
    most: { type: 'string', default: '100000', help: 'steps above this are left out' },
    connections: { type: 'string', default: '64', help: 'connections at a time, where they do not grow' },
    workers: { type: 'string', default: '2', help: 'worker processes, where they do not grow' },
    redis: { type: 'string', help: 'URL of a Redis to write to, instead of one started for the run' },
    json: { type: 'string', help: 'also write settings and every measurement to this file' }
  },
  switches: { write: 'draw the plots into docs/images/' },
  run
}

async function run(flags: Flags): Promise<void> {
  const settings = {
    rounds: count(flags, 'rounds', 100),
    seconds: count(flags, 'seconds', 600),
    workers: count(flags, 'workers', 64),
    connections: count(flags, 'connections', 1024)
  }
  const most = count(flags, 'most', 1_000_000)
  const chosen = list(flags, 'axes', axisNames)
  warnIfBusy()
  const folder = scratchFolder()
  const redis = await provideRedis(text(flags, 'redis'), folder)
  const points: Point[] = []
  for (let round = 1; round <= settings.rounds; round++) {
    for (const axis of chosen) {
      for (const step of axes[axis].steps.filter((one) => one <= most)) {
        // bare has no sessions
        for (const server of axis === 'sessions' ? (['muster'] as const) : (['bare', 'muster'] as const)) {
          const point = measurePoint(axis, step, server, { ...settings, redisUrl: redis.url, folder })
          // one that cannot be measured here is a gap; the others are worth their time all the same
          await point.then(
            (measured) => points.push(measured),
            (error: Error) => console.error(`${axis} ${step} ${server}: ${error.message}`)
          )
        }
      }
    }
  }
  const report: GrowthReport = { machine: machine(redis.version), settings, axes: chosen, points }
  console.log(toMarkdown(report))
  const file = text(flags, 'json')
  if (file !== undefined) writeFileSync(resolve(file), `${JSON.stringify(report, null, 2)}\n`)
  if (flags.write) for (const axis of chosen) writeImage(imageOf(axis), axisPlot(report, axis))
}

type Setting = GrowthReport['settings'] & { readonly redisUrl: string; readonly folder: string }

/** A server of its own for each point: what it holds of the one before would be measured too. */
async function measurePoint(axis: Axis, step: number, name: OwnName, setting: Setting): Promise<Point> {
  const { connections, seconds, workers, redisUrl, folder } =
    axis === 'workers' || axis === 'connections' ? { ...setting, ...sized(axis, step) } : setting
  const server = await startServer(name, { workers, redisUrl, folder }, env)
  const load = new Load()
  const held = new IdleConnections()
  const { url, shared } = server
  const sessions = axis === 'sessions' ? ({ row: 'session', sessions: step } as const) : ({ row: 'hit' } as const)
  try {
    await held.hold(url, axis === 'idle' ? step : 0)
    await load.run({ row: 'hit', url, connections, shared, seconds: 1 }, () => undefined)
    const measured = await measureWindow(server, load, { ...sessions, url, connections, seconds, shared })
    const redisMiB = shared ? (await infoOf(redisUrl, 'memory', 'used_memory')) / 2 ** 20 : Number.NaN
    console.error(`${axis} ${step} ${name}: ${Math.round(measured.perSecond)} req/s`)
    return { axis, step, server: name, ...measured, redisMiB }
  } finally {
    held.release()
    load.stop()
    await server.stop()
  }
}

const sized = (axis: 'workers' | 'connections', step: number) =>
  axis === 'workers' ? { workers: step } : { connections: step }

async function measureWindow(server: Server, load: Load, job: Job) {
  const { result, before, after } = await load.run(job, () => cpuTimes(server.pids()))
  const { requests, seconds, p99Ms, failures } = result
  return {
    perSecond: requests / seconds,
    p99Ms,
    cpu: cpuBetween(before, after).micros / requests,
    pssMiB: pssMiB(server.pids()),
    errors: Object.values(failures).reduce((sum, times) => sum + times, 0)
  }
}
