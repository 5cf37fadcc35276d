import type { Boot } from './boot.ts'
import type { Fresh } from './fresh.ts'
import { type Machine, machineLine } from './machine.ts'
import { fixed, table } from './markdown.ts'
import type { Commands } from './monitor.ts'
import { median, paired, spread } from './ratios.ts'
import { aboutOf, type ServerName } from './recipes.ts'
import { type Compared, caseTable, of, type RunSettings } from './report.ts'

export interface ReachSettings extends RunSettings {
  /** Idle connections that are held to see what one costs. */
  readonly idle: number
}

export const countedRows = ['hit', 'session'] as const
export type CountedRow = (typeof countedRows)[number]

/** What a server asked of Redis for so many requests. */
export interface CommandCount extends Commands {
  readonly server: ServerName
  readonly row: CountedRow
  readonly requests: number
}

/** Everything that was measured; what belongs to one round of one server is at one index. */
export interface ReachReport extends Compared<ServerName> {
  readonly machine: Machine
  readonly settings: ReachSettings
  readonly commands: readonly CommandCount[]
  readonly fresh: readonly Fresh[]
  readonly boots: readonly Boot[]
}

/** A row of the table: what was measured in each round, and what is asked for. */
interface Row {
  readonly what: string
  readonly values: readonly number[]
  readonly digits: number
  readonly unit: string
  readonly most?: number
  readonly least?: number
}

const rows = ['hit', 'session', 'connect'] as const

/** The report as Markdown, ready for docs/performance.md. */
export function toMarkdown(report: ReachReport): string {
  const { rounds, seconds, connections, workers } = report.settings
  const how = [
    machineLine(report.machine),
    `${workers} workers, ${connections} connections, medians of ${rounds} interleaved rounds of ${seconds} s (lowest–highest).`,
    'Ratios are of the same round. CPU is that of all processes of the server, Redis not counted.'
  ]
  const legend = report.servers.map((server) => `- ${server}: ${aboutOf(server)}`)
  const tables = rows.map((row) => caseTable(report, row, 'bare'))
  const parts = ['### Reach', reachTable(report), legend.join('\n'), ...tables, memoryTable(report), redisTable(report)]
  return [how.join('\n'), ...parts].join('\n\n')
}

/** What was reached of what is asked for. */
export function reachTable(report: ReachReport): string {
  const lines = reachRows(report).map((row) => {
    const { what, values, digits, unit, most, least } = row
    const asked = most !== undefined ? `≤ ${most}${unit}` : least !== undefined ? `≥ ${least}${unit}` : '–'
    return [what, `${spread(values, digits)}${unit}`, asked, reached(row)]
  })
  return table(['what', 'reached', 'asked for', 'is it?'], lines, ['is it?'])
}

function reached({ values, most, least }: Row): string {
  const middle = median(values)
  if (!Number.isFinite(middle) || (most === undefined && least === undefined)) return '–'
  return middle <= (most ?? middle) && middle >= (least ?? middle) ? 'yes' : 'no'
}

function reachRows(report: ReachReport): Row[] {
  const times = (
    row: (typeof rows)[number],
    field: 'cpu' | 'perSecond',
    server: ServerName,
    base: ServerName
  ): number[] => {
    const valuesOf = (name: ServerName) => of(report, row, name).map((sample) => sample[field])
    return paired(valuesOf(server), valuesOf(base))
  }
  const freshOf = (name: ServerName) => report.fresh.filter(({ server }) => server === name)
  const pssOf = (name: ServerName) => freshOf(name).map(({ pssMiB }) => pssMiB)
  const idleOf = (name: ServerName) => freshOf(name).map(({ idleKiB }) => idleKiB)
  const peer = bestPeer(report)
  const idle = `an idle connection of ${fixed(report.settings.idle, 0)}, added memory`
  const ratio = { digits: 2, unit: ' ×' }
  const kib = { digits: 1, unit: ' KiB' }
  const ms = { digits: 0, unit: ' ms' }
  return [
    { what: '`POST /hits`: CPU, × bare', values: times('hit', 'cpu', 'muster', 'bare'), ...ratio, most: 1.1 },
    {
      what: '`POST /hits`: requests/s, × bare',
      values: times('hit', 'perSecond', 'muster', 'bare'),
      ...ratio,
      least: 0.9
    },
    {
      what: `\`GET /\` with a session: CPU, × ${peer}`,
      values: times('session', 'cpu', 'muster', peer),
      ...ratio,
      most: 0.45
    },
    {
      what: "a connection a request, `SCHEDULING=shared`: requests/s, × by-the-book, which is node:cluster's round robin",
      values: times('connect', 'perSecond', 'muster-shared', 'by-the-book'),
      ...ratio,
      least: 1.8
    },
    {
      what: 'the same, × bare, which is round robin too, and counts nothing',
      values: times('connect', 'perSecond', 'muster-shared', 'bare'),
      ...ratio
    },
    {
      what: 'bare Fastify on a shared socket, × bare',
      values: times('connect', 'perSecond', 'bare-shared', 'bare'),
      ...ratio
    },
    {
      what: 'memory (PSS) of primary and workers, × bare',
      values: paired(pssOf('muster'), pssOf('bare')),
      ...ratio,
      most: 1.2
    },
    { what: 'a worker, fork to ready', values: report.boots.map(({ coldMs }) => coldMs), ...ms, most: 250 },
    { what: 'the same with a compile cache', values: report.boots.map(({ warmMs }) => warmMs), ...ms, most: 250 },
    {
      what: 'node, until it has loaded the packages of a worker and nothing else',
      values: report.boots.map(({ packagesMs }) => packagesMs),
      ...ms
    },
    { what: idle, values: idleOf('muster'), ...kib, most: 12 },
    { what: `${idle}, bare`, values: idleOf('bare'), ...kib },
    {
      what: 'Redis commands for 1,000 hits',
      values: commandsOf(report, 'muster', 'hit', 'sent'),
      digits: 1,
      unit: '',
      most: 40
    }
  ]
}

/** Of those that keep sessions in Redis and are not this service, the one that spends the least on a session. */
export function bestPeer(report: Compared<ServerName>): ServerName {
  const cpu = (name: ServerName) => median(of(report, 'session', name).map((sample) => sample.cpu))
  const others = report.servers.filter((name) => !name.startsWith('bare') && !name.startsWith('muster'))
  return others.sort((a, b) => cpu(a) - cpu(b))[0] ?? 'by-the-book'
}

/** Commands for 1,000 requests, of each round. */
function commandsOf({ commands }: ReachReport, name: ServerName, row: CountedRow, field: keyof Commands): number[] {
  const own = commands.filter((one) => one.server === name && one.row === row)
  return own.map((one) => (one[field] * 1000) / one.requests)
}

function memoryTable({ servers, fresh }: ReachReport): string {
  const valuesOf = (name: ServerName) => fresh.filter(({ server }) => server === name)
  const floor = valuesOf('bare').map(({ pssMiB }) => pssMiB)
  const lines = servers.flatMap((server) => {
    const own = valuesOf(server)
    if (own.length === 0) return []
    const pss = own.map(({ pssMiB }) => pssMiB)
    const idle = own.map(({ idleKiB }) => idleKiB)
    return [[server, String(own[0]?.processes), spread(pss, 0), spread(paired(pss, floor), 2), spread(idle, 1)]]
  })
  const note =
    'PSS of all processes of a server that was started afresh and runs alone, after 2 s of hits and 2 s of pages.'
  return `### Memory\n\n${table(['server', 'processes', 'PSS MiB', '× bare', 'KiB an idle connection'], lines)}\n\n${note}`
}

function redisTable(report: ReachReport): string {
  const names = [...new Set(report.commands.map(({ server }) => server))]
  const lines = names.map((name) => {
    const cell = (row: CountedRow, field: keyof Commands) => spread(commandsOf(report, name, row, field), 1)
    return [name, cell('hit', 'sent'), cell('hit', 'inScripts'), cell('session', 'sent'), cell('session', 'inScripts')]
  })
  const head = ['server', 'for 1,000 hits', 'inside scripts', 'for 1,000 pages of a session', 'inside scripts']
  return `### Commands that Redis got\n\n${table(head, lines)}`
}
