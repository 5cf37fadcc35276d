import { AGAINST, type Contestant, contestants, musterOf, own, peers } from '../contestants.ts'
import { type Load, type Row, rows, rowTitles } from '../load/load.ts'
import { Monitor } from '../redis.ts'
import { howMeasured, legend, rateColumns, sampleTable } from '../report.ts'
import { type Measured, measureRounds } from '../rounds.ts'
import { BenchError, type Context, type Sample, type Scenario } from '../scenario.ts'
import { targetTable } from '../targets.ts'
import { BOOT, COMMANDS, MANY, MEMORY, measureAlone, RELOAD } from './compare-alone.ts'

export const compare: Scenario = {
  summary:
    'requests, CPU, memory, boot, reload and Redis commands beside bare Fastify and others; about a quarter of an hour',
  defaults: { rounds: 5, seconds: 4 },
  names: Object.keys(contestants),
  options: {
    peer: `also these, comma-separated, of ${Object.keys(peers).join(', ')}: installed into .bench/`,
    rows: `kinds of load, comma-separated, of ${rows.join(', ')}`,
    idle: 'idle connections to measure the memory of one (default 10000, 0: none)',
    against: AGAINST,
    quick: 'yes: requests only, without memory, many workers, boot, reload and Redis commands'
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
    const rest = context.option('quick') ? [] : tablesAlone(samples)
    const parts = [howMeasured(context.settings), legend(servers), targetTable(samples), ...requests, ...rest]
    return { samples, report: parts.join('\n\n') }
  }
}

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

function tablesAlone(samples: readonly Sample[]): string[] {
  const numbers = (values: readonly string[], digits: number, head = '') =>
    values.map((value) => ({ head: `${head}${value}`, value, digits }))
  const memory = [
    { head: 'processes', value: 'processes', digits: 0 },
    { head: 'PSS MiB', value: 'pssMiB', digits: 0, base: 'bare' },
    { head: 'KiB per idle connection', value: 'idleKiB', digits: 1 }
  ]
  const many = [...rateColumns('bare'), { head: 'MiB of each further worker', value: 'furtherMiB', digits: 0 }]
  const commands = ['hit', 'hit in scripts', 'session', 'session in scripts']
  const alone = 'PSS of all processes of a server that runs alone, after 2 s of hits and 2 s of pages.'
  const times = 'Four times as many workers, `POST /hits`. A further worker is one beyond the usual number.'
  return [
    `### ${MEMORY}\n\n${sampleTable(samples, MEMORY, memory)}\n\n${alone}`,
    `### ${MANY}\n\n${sampleTable(samples, MANY, many)}\n\n${times}`,
    `### ${BOOT}\n\n${sampleTable(samples, BOOT, numbers(['coldMs', 'warmMs', 'packagesMs'], 0))}`,
    `### ${RELOAD}\n\n${sampleTable(samples, RELOAD, numbers(['seconds'], 1))}`,
    `### ${COMMANDS}\n\n${sampleTable(samples, COMMANDS, numbers(commands, 1, 'per 1,000: '))}`
  ]
}
