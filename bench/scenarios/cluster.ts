import { contestants, startContestant } from '../contestants.ts'
import { Load } from '../load/load.ts'
import { cpuBetween, cpuTimes } from '../processes.ts'
import { infoOf, Monitor } from '../redis.ts'
import { clusterUrl, startCluster } from '../redis-cluster.ts'
import { howMeasured, sampleTable } from '../report.ts'
import type { Context, Sample, Scenario } from '../scenario.ts'
import type { Running } from '../servers.ts'

const NODES = 3
const ROWS = { hit: 'A hit: `POST /hits`', session: 'A page with a session: `GET /`' } as const
type Row = keyof typeof ROWS
const COLUMNS = [
  { head: 'req/s', value: 'perSecond', digits: 0 },
  { head: 'service CPU µs/req', value: 'cpu', digits: 1 },
  { head: 'Redis CPU µs/req', value: 'redisCpu', digits: 1 },
  { head: 'commands per 1,000', value: 'commands', digits: 0 },
  { head: 'Redis CPU µs per command', value: 'each', digits: 1 }
]

/** A service and the Redis that only it uses. */
interface Side {
  readonly name: string
  readonly nodes: readonly string[]
  readonly running: Running
}

export const cluster: Scenario = {
  summary: 'what hits and pages cost Redis, for one server and for a Cluster of three',
  defaults: { rounds: 5, seconds: 2 },
  async run(context) {
    const { settings, folder } = context
    const { url } = await context.redis()
    const cluster = await startCluster(NODES, folder)
    const start = (redisUrl: string) =>
      startContestant('muster', contestants.muster!, { workers: settings.workers, redisUrl, folder })
    const sides: Side[] = [
      { name: 'one server', nodes: [url], running: await start(url) },
      { name: `Cluster of ${NODES}`, nodes: cluster, running: await start(clusterUrl(cluster)) }
    ]
    const load = new Load()
    const samples: Sample[] = []
    try {
      // Round 0 only warms up.
      for (let round = 0; round <= settings.rounds; round++) {
        for (const row of Object.keys(ROWS) as Row[]) {
          for (const side of sides) {
            const sample = await measureSide(load, side, row, context)
            if (round > 0) samples.push(sample)
          }
        }
        console.error(`round ${round}/${settings.rounds}`)
      }
    } finally {
      load.stop()
      await Promise.all(sides.map(({ running }) => running.stop()))
    }
    const tables = Object.values(ROWS).map((row) => `### ${row}\n\n${sampleTable(samples, row, COLUMNS, 'Redis')}`)
    return { samples, report: [howMeasured(settings), ...tables].join('\n\n') }
  }
}

/** A window for the CPU, and another one for the commands, because MONITOR slows Redis down. */
async function measureSide(
  load: Load,
  { name, nodes, running }: Side,
  row: Row,
  { settings }: Context
): Promise<Sample> {
  const { seconds, connections } = settings
  const job = { row, url: running.url, connections, seconds, shared: true }
  const { result, before, after } = await load.run(job, () => ({ own: cpuTimes(running.pids()), redis: cpuOf(nodes) }))
  const { requests, failures } = result
  const cpu = cpuBetween(before.own, after.own).micros / requests
  const redisCpu = ((await after.redis) - (await before.redis)) / requests
  const monitors = await Promise.all(nodes.map((node) => Monitor.open(node)))
  const seen = () => monitors.reduce((sum, monitor) => sum + monitor.seen().sent, 0)
  const counted = await load.run({ ...job, seconds: 1 }, seen)
  for (const monitor of monitors) monitor.close()
  const commands = ((counted.after - counted.before) * 1000) / counted.result.requests
  const values = { perSecond: requests / result.seconds, cpu, redisCpu, commands, each: (redisCpu * 1000) / commands }
  return { table: ROWS[row], subject: name, values, failures }
}

/** CPU that Redis has used so far, in µs. */
async function cpuOf(nodes: readonly string[]): Promise<number> {
  const times = nodes.flatMap((url) => [infoOf(url, 'cpu', 'used_cpu_user'), infoOf(url, 'cpu', 'used_cpu_sys')])
  return (await Promise.all(times)).reduce((sum, seconds) => sum + seconds, 0) * 1e6
}
