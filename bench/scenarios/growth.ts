import { contestants, startContestant } from '../contestants.ts'
import { plot } from '../draw/plot.ts'
import { writeImage } from '../draw/svg.ts'
import { Load } from '../load/load.ts'
import { pssMiB } from '../processes.ts'
import { infoOf } from '../redis.ts'
import { fixed, howMeasured, median, sampleTable, valuesOf } from '../report.ts'
import { measureWindow } from '../rounds.ts'
import { BenchError, type Context, type Sample, type Scenario } from '../scenario.ts'

/** What grows, one axis at a time, while everything else keeps its default. */
const AXES = {
  workers: { steps: [1, 2, 4, 8], title: 'Workers: `POST /hits`' },
  connections: { steps: [16, 64, 256, 1024], title: 'Connections at a time: `POST /hits`' },
  idle: { steps: [0, 1000, 10_000], title: 'Idle keep-alive connections beside the load: `POST /hits`' },
  sessions: { steps: [1, 100, 10_000, 100_000], title: 'Sessions: `GET /`, another session with each request' }
} as const
type Axis = keyof typeof AXES
const COLUMNS = [
  { head: 'req/s', value: 'perSecond', digits: 0 },
  { head: 'CPU µs/req', value: 'cpu', digits: 1 },
  { head: 'p99 ms', value: 'p99Ms', digits: 1 },
  { head: 'PSS MiB', value: 'pssMiB', digits: 0 },
  { head: 'Redis MiB', value: 'redisMiB', digits: 1 }
]
/** Idle connections outlast the measurement, and many workers may boot slowly on a few cores. */
const ENV = { KEEP_ALIVE_TIMEOUT: '120000', BOOT_TIMEOUT: '60000' }
/** Bare has no sessions. */
const serversOf = (axis: Axis) => (axis === 'sessions' ? (['muster'] as const) : (['bare', 'muster'] as const))
const subjectOf = (step: number, server: string) => `${fixed(step, 0)} ${server}`

export const growth: Scenario = {
  summary: 'how cost grows with workers, connections, idle connections and sessions; about four minutes',
  defaults: { rounds: 1, seconds: 3 },
  names: Object.keys(AXES),
  options: { max: 'steps above this are left out (default 100000)' },
  async run(context) {
    const axes = context.select(Object.keys(AXES)) as Axis[]
    const max = Number(context.option('max') ?? 100_000)
    const samples: Sample[] = []
    for (let round = 1; round <= context.settings.rounds; round++) {
      for (const axis of axes) {
        for (const step of AXES[axis].steps.filter((one) => one <= max)) {
          for (const server of serversOf(axis)) {
            // A step that cannot be measured on this machine is a gap in the table.
            await measureStep(context, axis, step, server).then(
              (sample) => samples.push(sample),
              (error: Error) => console.error(`${axis} ${step} ${server}: ${error.message}`)
            )
          }
        }
      }
    }
    if (samples.length === 0) throw new BenchError('no step could be measured')
    if (context.write) for (const axis of axes) writeImage(`growth-${axis}.svg`, drawAxis(samples, axis))
    const parts = axes.map((axis) => {
      const picture = `![${AXES[axis].title}](images/growth-${axis}.svg)`
      return `### ${AXES[axis].title}\n\n${sampleTable(samples, axis, COLUMNS, axis)}\n\n${picture}`
    })
    const how = `${howMeasured(context.settings)} Load and Redis share the cores with the server.`
    return { samples, report: [how, ...parts].join('\n\n') }
  }
}

/** Each step has a server of its own, so nothing of the previous step is measured. */
async function measureStep(context: Context, axis: Axis, step: number, name: 'bare' | 'muster'): Promise<Sample> {
  const { url: redisUrl } = await context.redis()
  const { settings } = context
  const workers = axis === 'workers' ? step : settings.workers
  const connections = axis === 'connections' ? step : settings.connections
  const contestant = contestants[name]!
  const running = await startContestant(name, contestant, { workers, redisUrl, folder: context.folder }, ENV)
  const load = new Load()
  try {
    if (axis === 'idle') await load.hold(running.url, step)
    const job = { url: running.url, connections, shared: contestant.shared }
    await load.run({ ...job, row: 'hit', seconds: 1 }, () => undefined)
    const sessions = axis === 'sessions' ? ({ row: 'session', sessions: step } as const) : ({ row: 'hit' } as const)
    const { values, failures } = await measureWindow(load, running, { ...job, ...sessions, seconds: settings.seconds })
    const redisMiB = contestant.shared ? (await infoOf(redisUrl, 'memory', 'used_memory')) / 2 ** 20 : Number.NaN
    console.error(`${axis} ${step} ${name}: ${Math.round(values.perSecond)} req/s`)
    const memory = { pssMiB: pssMiB(running.pids()), redisMiB }
    return { table: axis, subject: subjectOf(step, name), values: { ...values, ...memory }, failures }
  } finally {
    load.stop()
    await running.stop()
  }
}

function drawAxis(samples: readonly Sample[], axis: Axis): string {
  const { steps, title } = AXES[axis]
  const at = (step: number, server: string, value: string) =>
    median(valuesOf(samples, axis, subjectOf(step, server), value))
  const panels = COLUMNS.slice(0, 4).map(({ head, value }) => ({
    title: head,
    series: Object.fromEntries(serversOf(axis).map((server) => [server, steps.map((step) => at(step, server, value))]))
  }))
  const names = steps.map((step) => fixed(step, 0))
  return plot(`muster: ${title.replaceAll('`', '')}`, axis, names, panels)
}
