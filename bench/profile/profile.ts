import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ask } from '../../src/cli/socket.ts'
import { scratchFolder } from '../children.ts'
import { BenchError, type Command, count, type Flags, text } from '../command.ts'
import { writeImage } from '../images.ts'
import { type Case, Load } from '../load/load.ts'
import { machine, machineLine } from '../machine.ts'
import { fixed, table } from '../markdown.ts'
import { provideRedis } from '../redis.ts'
import { type Running, startProgram } from '../servers.ts'
import { type CpuProfile, frames, selfTimes } from './cpu-profile.ts'
import { flameGraph } from './flame.ts'

const rows: readonly Case[] = ['hit', 'session', 'connect']
const about: Record<Case, string> = {
  hit: '`POST /hits`, keep-alive',
  session: '`GET /` with the cookie of a session, keep-alive',
  connect: '`POST /hits`, a connection a request'
}
const functions = 25

/** Where the time of a worker goes, by the service's own `profile` command. */
export const profile: Command = {
  summary: `where a worker's CPU time goes; say which row: ${rows.join(', ')}`,
  positional: 'row',
  options: {
    seconds: { type: 'string', default: '5', help: 'length of the profile' },
    connections: { type: 'string', default: '64', help: 'connections at a time' },
    workers: { type: 'string', default: '2', help: 'worker processes; that of slot 0 is profiled' },
    redis: { type: 'string', help: 'URL of a Redis to write to, instead of one started for the run' }
  },
  switches: { write: 'draw the flame graph into docs/images/flame-<row>.svg' },
  run
}

async function run(flags: Flags): Promise<void> {
  const row = rows.find((name) => name === (text(flags, 'row') ?? 'hit'))
  if (!row) throw new BenchError(`Nothing that can be profiled is called ${flags.row}: say ${rows.join(', ')}.`)
  const seconds = count(flags, 'seconds', 60)
  const connections = count(flags, 'connections', 4096)
  const workers = count(flags, 'workers', 64)
  const folder = scratchFolder()
  const redis = await provideRedis(text(flags, 'redis'), folder)
  const program = { name: 'muster', file: '../src/main.js' }
  const running = await startProgram(program, { workers, redisUrl: redis.url, folder })
  const root = frames(await profileUnderLoad(running, { row, seconds, connections }))
  await running.stop()
  if (root.total === 0) throw new BenchError('The worker did nothing while it was profiled.')
  const busy = fixed((root.total / seconds / 1e6) * 100, 0)
  const how = `${about[row]}; ${workers} workers, ${connections} connections, worker 0 for ${seconds} s, busy ${busy} % of them.`
  const share = (micros: number) => fixed((micros / root.total) * 100, 1)
  const categories = selfTimes(root, ({ category }) => category).map(([name, micros]) => [name, share(micros)])
  const byName = selfTimes(root, ({ name, category }) => `\`${name}\` | ${category}`)
  const names = byName.slice(0, functions).map(([name, micros]) => [name, share(micros)])
  const tables = [
    table(['whose code', '% of self time'], categories),
    table(['function', 'whose', '%'], names, ['whose'])
  ]
  console.log([`${machineLine(machine(redis.version))}\n${how}`, ...tables].join('\n\n'))
  if (flags.write) writeImage(`flame-${row}.svg`, flameGraph(root, `muster, ${about[row].replaceAll('`', '')}`))
}

async function profileUnderLoad(
  { url, runDir }: Running,
  { row, seconds, connections }: { row: Case; seconds: number; connections: number }
): Promise<CpuProfile> {
  const load = new Load()
  const job = { row, url, connections, shared: true }
  try {
    await load.run({ ...job, seconds: 2 }, () => undefined)
    // the load begins before the profile and ends after it
    const loaded = load.run({ ...job, seconds: seconds + 2 }, () => undefined)
    const answer = ask(join(runDir, 'admin.sock'), 'profile', { slot: 0, seconds })
    const [told] = await Promise.all([answer, loaded])
    if (!told.ok || !('result' in told))
      throw new BenchError(`The service did not profile its worker: ${JSON.stringify(told)}`)
    return JSON.parse(readFileSync((told.result as { path: string }).path, 'utf8')) as CpuProfile
  } finally {
    load.stop()
  }
}
