import type { Mix } from '../test/helpers/load.ts'
import type { MixedResult } from './load/mixed.ts'
import { type Machine, machineLine } from './machine.ts'
import { fixed, table } from './markdown.ts'
import { type WayName, ways } from './ways.ts'

export interface ReloadSettings {
  readonly restarts: number
  /** What an old worker may take to stop. */
  readonly stopMs: number
  readonly workers: number
  readonly mix: Readonly<Required<Omit<Mix, 'multiplexed'>>>
}

/** One way of replacing workers, and what came of it. */
export interface Row extends MixedResult {
  readonly way: WayName
  /** Mean time until all workers were replaced. */
  readonly restartMs: number
}

export interface ReloadReport {
  readonly machine: Machine
  readonly settings: ReloadSettings
  readonly rows: readonly Row[]
}

const kinds = 'kinds of failure'

/** The report as Markdown, ready for the docs. */
export function toMarkdown({ machine, settings, rows }: ReloadReport): string {
  const { restarts, stopMs, workers, mix } = settings
  const how = [
    machineLine(machine),
    `Each way: ${workers} workers, rolling restarts: ${restarts}; an old worker that has not left after ${stopMs / 1000} s is cut off.`,
    `Clients, by the names in the last column: ${mix.tight} tight ones ask without a pause, ${mix.idle} idle ones now and then`,
    `(up to 1.5 s between two requests), ${mix.slow} slow ones for answers that take 50–850 ms, ${mix.pipelined} pipelined ones send`,
    '8 requests at once, half of these bursts in two packets, all of them on a connection that they keep;',
    `${mix.fresh} fresh ones open one for each request; ${mix.streams} streams are event streams.`,
    'None tries a request again. A burst that loses answers counts as one failure; a wrong answer is one that is not 200.',
    'Re-opened: connections of clients that keep theirs. p99: of the requests that are answered at once.'
  ]
  const legend = rows.map(({ way }) => `- ${way}: ${ways[way].about}`)
  const head = ['way', 'answered', 'failed', 'failed per restart', 're-opened', 'p99 ms', 's per restart', kinds]
  const lines = rows.map((row) => {
    const failed = sum(Object.values(row.failures))
    const numbers = [fixed(row.answered, 0), fixed(failed, 0), fixed(failed / restarts, 1), fixed(row.reopened, 0)]
    return [row.way, ...numbers, fixed(row.p99Ms, 1), fixed(row.restartMs / 1000, 1), kindsOf(row)]
  })
  return [how.join('\n'), legend.join('\n'), table(head, lines, [kinds])].join('\n\n')
}

/** `kind: client times, client times; kind: …`, the most frequent first. */
function kindsOf({ failures }: Row): string {
  const byKind = new Map<string, [client: string, times: number][]>()
  for (const [key, times] of Object.entries(failures)) {
    const client = key.slice(0, key.indexOf(': '))
    const kind = key.slice(client.length + 2)
    byKind.set(kind, [...(byKind.get(kind) ?? []), [client, times]])
  }
  const total = (clients: [string, number][]) => sum(clients.map(([, times]) => times))
  const sorted = [...byKind].sort(([, a], [, b]) => total(b) - total(a))
  const texts = sorted.map(([kind, clients]) => {
    const parts = clients.sort(([, a], [, b]) => b - a).map(([client, times]) => `${client} ${times}`)
    return `${kind}: ${parts.join(', ')}`
  })
  return texts.join('; ') || '–'
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
