import type { Case } from './load/load.ts'
import type { LoadResult } from './load/tally.ts'
import { type Machine, machineLine } from './machine.ts'
import { fixed, table } from './markdown.ts'
import { median, paired, spread } from './ratios.ts'
import { aboutOf, type ServerName } from './recipes.ts'

export interface RunSettings {
  readonly rounds: number
  readonly seconds: number
  readonly connections: number
  readonly workers: number
}

/** One server's measurement in one round of one row. */
export interface Sample<Name extends string = ServerName> extends LoadResult {
  readonly server: Name
  readonly row: Case
  readonly round: number
  readonly perSecond: number
  /** CPU microseconds a request, user and system, of all the server's processes; Redis is not among them. */
  readonly cpu: number
}

export interface Memory {
  readonly server: ServerName
  readonly processes: number
  readonly pssMiB: number
}

/** What is compared, and what was measured of it. */
export interface Compared<Name extends string> {
  readonly servers: readonly Name[]
  readonly samples: readonly Sample<Name>[]
}

export interface Report extends Compared<ServerName> {
  readonly machine: Machine
  readonly settings: RunSettings
  readonly rows: readonly Case[]
  readonly memory: readonly Memory[]
}

const base: ServerName = 'bare'
const titles: Record<Case, string> = {
  hit: 'A hit: `POST /hits`, keep-alive',
  session: 'A hit of a session: `GET /` with its cookie, keep-alive',
  connect: 'A connection a request: `POST /hits`, `Connection: close`'
}

/** The report as Markdown, ready for docs/performance.md. */
export function toMarkdown(report: Report): string {
  const { rounds, seconds, connections, workers } = report.settings
  const how = [
    machineLine(report.machine),
    `${workers} workers, ${connections} connections, medians of ${rounds} interleaved rounds of ${seconds} s.`,
    '"× bare" compares with bare in the same round: median (lowest–highest).',
    'CPU is that of all processes of the server, Redis not counted.'
  ]
  const legend = report.servers.map((server) => `- ${server}: ${aboutOf(server)}`)
  const tables = report.rows.map((row) => caseTable(report, row, base))
  return [how.join('\n'), legend.join('\n'), ...tables, memoryTable(report)].join('\n\n')
}

/** A row as Markdown. @param base what the ratios refer to */
export function caseTable<Name extends string>(report: Compared<Name>, row: Case, base: Name): string {
  const head = ['server', 'req/s', `× ${base}`, 'p50 ms', 'p99 ms', 'CPU µs/req', `× ${base}`, 'errors']
  const lines = report.servers.flatMap((server) => {
    const samples = of(report, row, server)
    if (samples.length === 0) return []
    const middle = (field: 'perSecond' | 'p50Ms' | 'p99Ms' | 'cpu') => median(samples.map((sample) => sample[field]))
    const times = (field: 'perSecond' | 'cpu') => {
      const floor = of(report, row, base).map((sample) => sample[field])
      return spread(
        paired(
          samples.map((sample) => sample[field]),
          floor
        ),
        2
      )
    }
    const rate = [fixed(middle('perSecond'), 0), times('perSecond')]
    const latency = [fixed(middle('p50Ms'), 2), fixed(middle('p99Ms'), 2)]
    return [[server, ...rate, ...latency, fixed(middle('cpu'), 1), times('cpu'), errors(samples)]]
  })
  return `### ${titles[row]}\n\n${table(head, lines)}`
}

function memoryTable(report: Report): string {
  const floor = report.memory.find(({ server }) => server === base)?.pssMiB ?? Number.NaN
  const lines = report.memory.map(({ server, processes, pssMiB }) => {
    return [server, String(processes), fixed(pssMiB, 0), fixed(pssMiB / floor, 2)]
  })
  const note = 'PSS of all processes of the server after the rounds, read while all the servers were alive.'
  return `### Memory\n\n${table(['server', 'processes', 'PSS MiB', '× bare'], lines)}\n\n${note}`
}

/** One server's samples of one row, a round each. */
export function of<Name extends string>(report: Compared<Name>, row: Case, server: Name): Sample<Name>[] {
  return report.samples.filter((sample) => sample.row === row && sample.server === server)
}

function errors(samples: Sample<string>[]): string {
  const kinds = new Map<string, number>()
  for (const { failures } of samples) {
    for (const [kind, times] of Object.entries(failures)) kinds.set(kind, (kinds.get(kind) ?? 0) + times)
  }
  const total = [...kinds.values()].reduce((sum, times) => sum + times, 0)
  const detail = [...kinds].map(([kind, times]) => `${kind}: ${times}`).join(', ')
  return total === 0 ? '0' : `**${total}** (${detail})`
}
