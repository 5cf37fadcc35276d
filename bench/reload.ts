import { readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { scratchFolder } from './children.ts'
import { BenchError, type Command, count, type Flags, list, text } from './command.ts'
import { MixedLoad } from './load/mixed.ts'
import { machine } from './machine.ts'
import { provideRedis } from './redis.ts'
import { type ReloadReport, type ReloadSettings, type Row, toMarkdown } from './reload-report.ts'
import { type Running, type ServerSettings, startProgram } from './servers.ts'
import { programOf, type WayName, ways } from './ways.ts'

const names = Object.keys(ways) as WayName[]
const workers = 2
const mix = { tight: 8, fresh: 4, slow: 8, pipelined: 4, idle: 40, streams: 4 }
/** For a new worker to boot, beside what an old one may take to stop. */
const bootMs = 20_000
/** Between two restarts, so that clients which were cut off are at work again. */
const pauseMs = 250

/** Requests that fail when every worker is replaced under load: by muster, and in the common ways. */
export const reload: Command = {
  summary: 'what fails in rolling restarts under a mixed load: with muster, and in the common ways',
  options: {
    restarts: { type: 'string', default: '5', help: 'rolling restarts of each way' },
    deadline: { type: 'string', default: '3', help: 'seconds that an old worker may take to stop; then it is killed' },
    only: { type: 'string', help: `ways, comma-separated, of ${names.join(', ')}` },
    redis: { type: 'string', help: 'URL of a Redis to write to, instead of one started for the run' },
    json: { type: 'string', help: 'also write settings and results to this file' }
  },
  run
}

async function run(flags: Flags): Promise<void> {
  const stopMs = count(flags, 'deadline', 60) * 1000
  const settings: ReloadSettings = { restarts: count(flags, 'restarts', 100), stopMs, workers, mix }
  const only = list(flags, 'only', names)
  const folder = scratchFolder()
  const redis = only.includes('muster') ? await provideRedis(text(flags, 'redis'), folder) : undefined
  const rows: Row[] = []
  for (const way of only) rows.push(await measure(way, settings, { workers, redisUrl: redis?.url, folder }))
  const report: ReloadReport = { machine: machine(redis?.version), settings, rows }
  console.log(toMarkdown(report))
  const file = text(flags, 'json')
  if (file !== undefined) writeFileSync(resolve(file), `${JSON.stringify(report, null, 2)}\n`)
}

/** Server, load, the restarts one after the other; then both end. */
async function measure(way: WayName, settings: ReloadSettings, start: ServerSettings): Promise<Row> {
  const { restarts, stopMs } = settings
  const server = await startProgram(programOf(way, stopMs), start)
  const load = new MixedLoad()
  try {
    await load.start(server.port, settings.mix)
    let restartMs = 0
    for (let nth = 1; nth <= restarts; nth++) {
      const begun = performance.now()
      await restart(way, server, nth, workers * (stopMs + bootMs))
      restartMs += performance.now() - begun
      console.error(`restart ${nth}/${restarts} ${way}: ${Math.round(performance.now() - begun)} ms`)
      await sleep(pauseMs)
    }
    return { way, restartMs: restartMs / restarts, ...(await load.stop()) }
  } finally {
    load.kill()
    await server.stop()
  }
}

/** Replaces every worker; resolves when the server says for the `nth` time that it has. */
async function restart(way: WayName, { child, log }: Running, nth: number, deadlineMs: number): Promise<void> {
  const deadline = performance.now() + deadlineMs
  child.kill('SIGHUP')
  while (child.exitCode === null && child.signalCode === null && performance.now() < deadline) {
    await sleep(20)
    const outcome = [...readFileSync(log, 'utf8').matchAll(/rolling restart (?!begins)(\w+)/g)][nth - 1]?.[1]
    if (outcome === 'done') return
    if (outcome !== undefined) break
  }
  throw new BenchError(
    `${way}: a rolling restart did not come to its end. The end of its output:\n${readFileSync(log, 'utf8').slice(-2000)}`
  )
}
