import { type Machine, machineLine } from './machine.ts'
import { fixed, table } from './markdown.ts'
import { plot } from './plot.ts'
import { median, spread } from './ratios.ts'
import type { OwnName } from './recipes.ts'

/** What grows, one at a time, while all else stays at its default. */
export const axes = {
  workers: { steps: [1, 2, 4, 8], title: 'Workers', load: '`POST /hits`' },
  connections: { steps: [16, 64, 256, 1024], title: 'Connections at a time', load: '`POST /hits`' },
  idle: { steps: [0, 1000, 10_000], title: 'Idle keep-alive connections beside them', load: '`POST /hits`' },
  sessions: { steps: [1, 100, 10_000, 100_000], title: 'Sessions', load: '`GET /`, another session with each request' }
} as const
export type Axis = keyof typeof axes

/** One measurement at one step of an axis. */
export interface Point {
  readonly axis: Axis
  readonly step: number
  readonly server: OwnName
  readonly perSecond: number
  readonly p99Ms: number
  /** CPU µs a request, of all processes of the server. */
  readonly cpu: number
  readonly pssMiB: number
  /** What Redis has in memory; NaN for a server that uses none. */
  readonly redisMiB: number
  readonly errors: number
}

export interface GrowthReport {
  readonly machine: Machine
  readonly settings: {
    readonly rounds: number
    readonly seconds: number
    readonly workers: number
    readonly connections: number
  }
  readonly axes: readonly Axis[]
  readonly points: readonly Point[]
}

type Field = 'perSecond' | 'cpu' | 'p99Ms' | 'pssMiB' | 'redisMiB'
const columns: readonly (readonly [head: string, field: Field, digits: number])[] = [
  ['req/s', 'perSecond', 0],
  ['CPU µs/req', 'cpu', 1],
  ['p99 ms', 'p99Ms', 1],
  ['PSS MiB', 'pssMiB', 0],
  ['Redis MiB', 'redisMiB', 1]
]

/** The report as Markdown, ready for docs/performance.md. */
export function toMarkdown(report: GrowthReport): string {
  const { rounds, seconds, workers, connections } = report.settings
  const how = [
    machineLine(report.machine),
    `Where nothing else is said: ${workers} workers, ${connections} connections; medians of ${rounds} rounds of ${seconds} s (lowest–highest).`,
    'The load and Redis share the cores with the server.'
  ]
  const parts = report.axes.map((axis) => {
    const picture = `![${axes[axis].title}: throughput, CPU, latency and memory](images/${imageOf(axis)})`
    return `### ${axes[axis].title}: ${axes[axis].load}\n\n${axisTable(report, axis)}\n\n${picture}`
  })
  return [how.join('\n'), ...parts].join('\n\n')
}

/** The file of an axis' plot, in docs/images/. */
export const imageOf = (axis: Axis): string => `growth-${axis}.svg`

/** The plot of an axis as SVG. */
export function axisPlot({ points }: GrowthReport, axis: Axis): string {
  const { steps, title } = axes[axis]
  const servers = serversOf(points, axis)
  const panels = columns.slice(0, 4).map(([head, field]) => ({
    title: head,
    series: Object.fromEntries(
      servers.map((server) => [
        server,
        steps.map((step) => median(at(points, axis, step, server).map((point) => point[field])))
      ])
    )
  }))
  const names = steps.map((step) => fixed(step, 0))
  return plot(`muster: ${title}`, title.toLowerCase(), names, panels)
}

function axisTable({ points }: GrowthReport, axis: Axis): string {
  const lines = axes[axis].steps.flatMap((step) =>
    serversOf(points, axis).flatMap((server) => {
      const own = at(points, axis, step, server)
      if (own.length === 0) return []
      const cells = columns.map(([, field, digits]) =>
        spread(
          own.map((point) => point[field]),
          digits
        )
      )
      return [[fixed(step, 0), server, ...cells, String(own.reduce((sum, { errors }) => sum + errors, 0))]]
    })
  )
  return table([axis, 'server', ...columns.map(([head]) => head), 'errors'], lines, ['server'])
}

const at = (points: readonly Point[], axis: Axis, step: number, server: OwnName): Point[] =>
  points.filter((point) => point.axis === axis && point.step === step && point.server === server)

const serversOf = (points: readonly Point[], axis: Axis): OwnName[] => [
  ...new Set(points.filter((point) => point.axis === axis).map(({ server }) => server))
]
