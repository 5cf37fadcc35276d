import type { LoadResult } from './load/tally.ts'
import { type Machine, machineLine } from './machine.ts'
import { fixed, table } from './markdown.ts'
import { median, spread } from './ratios.ts'

/** The values of SCHEDULING, in the order of the tables. */
export const modes = ['rr', 'shared', 'reuseport', 'sticky'] as const
export type Mode = (typeof modes)[number]

export const rows = ['connect', 'hit'] as const
export type Row = (typeof rows)[number]

export interface SchedulingSettings {
  readonly rounds: number
  readonly seconds: number
  readonly connections: number
  readonly workers: number
  /** Connections opened at once, whose workers are counted. */
  readonly balanced: number
}

/** One mode's measurement in one round of one row. */
export interface Sample extends LoadResult {
  readonly mode: Mode
  readonly row: Row
  readonly perSecond: number
  /** CPU microseconds a request, of all the server's processes; Redis is not among them. */
  readonly cpu: number
}

export interface SchedulingReport {
  readonly machine: Machine
  readonly settings: SchedulingSettings
  readonly modes: readonly Mode[]
  readonly samples: readonly Sample[]
  /** Connections of each worker, of every round. */
  readonly balances: readonly { mode: Mode; counts: readonly number[] }[]
}

const titles: Record<Row, string> = {
  connect: 'A connection a request: `POST /hits`, `Connection: close`',
  hit: 'Keep-alive: `POST /hits`'
}

/** The report as Markdown, ready for docs/scheduling.md. */
export function toMarkdown(report: SchedulingReport): string {
  const { rounds, seconds, connections, workers, balanced } = report.settings
  const how = [
    machineLine(report.machine),
    `${workers} workers; ${connections} connections, each from an address of its own; medians of ${rounds} interleaved rounds of ${seconds} s`,
    '(lowest–highest). CPU is that of all processes of the service, Redis not counted.'
  ]
  const tables = rows.map((row) => `### ${titles[row]}\n\n${rowTable(report, row)}`)
  const balance = `### Balance: ${balanced} connections opened at once\n\n${balanceTable(report)}`
  return [how.join('\n'), balance, ...tables].join('\n\n')
}

function rowTable({ modes, samples }: SchedulingReport, row: Row): string {
  const lines = modes.map((mode) => {
    const own = samples.filter((sample) => sample.mode === mode && sample.row === row)
    const range = (field: 'perSecond' | 'p99Ms' | 'cpu', digits: number) =>
      spread(
        own.map((sample) => sample[field]),
        digits
      )
    const failed = own.flatMap(({ failures }) => Object.values(failures)).reduce((sum, times) => sum + times, 0)
    return [mode, range('perSecond', 0), range('p99Ms', 1), range('cpu', 1), String(failed)]
  })
  return table(['SCHEDULING', 'req/s', 'p99 ms', 'CPU µs/req', 'errors'], lines)
}

function balanceTable({ modes, balances, settings }: SchedulingReport): string {
  const lines = modes.map((mode) => {
    const rounds = balances.filter((one) => one.mode === mode).map(({ counts }) => counts)
    const least = rounds.map((counts) => Math.min(...counts))
    const most = rounds.map((counts) => Math.max(...counts))
    return [mode, fixed(median(least), 0), fixed(median(most), 0), `${Math.min(...least)}–${Math.max(...most)}`]
  })
  return table(['SCHEDULING', `fewest at one of ${settings.workers} workers`, 'most at one', 'over all rounds'], lines)
}
