import { styleText } from 'node:util'
import type { Entry } from '../primary/journal.ts'

export interface Row {
  [column: string]: unknown
}

/** How each word of a state looks where there are colours. */
const COLOURS: Record<string, Parameters<typeof styleText>[0]> = {
  ready: 'green',
  running: 'green',
  done: 'green',
  starting: 'yellow',
  draining: 'yellow',
  reloading: 'yellow',
  stopped: 'yellow',
  degraded: 'red',
  failed: 'red'
}
const COLOURED = new Set(['status', 'state', 'outcome'])

/** The result of a command, for people. @param colours on a terminal */
export function format(command: string, result: unknown, colours: boolean): string {
  if (command === 'why' || command === 'journal') return history(result as Entry[])
  if (command.startsWith('settings-') || command === 'log-level') {
    return settings((result as { values: Row }).values, 'setting')
  }
  if (command === 'config') return settings(result as Row, 'variable')
  if (command === 'status') {
    const { workers, lastReload, restarts, ...service } = result as {
      workers: Row[]
      lastReload: Row | null
      restarts: Row
    }
    const tables = [[service], workers, ...(lastReload ? [[lastReload]] : [])]
    return tables.map((rows) => table(rows, colours)).join('\n')
  }
  if (result === null) return 'ok\n'
  if (typeof result === 'string') return `${result}\n`
  const rows = [result as Row | Row[]].flat()
  return rows.length > 0 ? table(rows, colours) : 'none\n'
}

const settings = (values: Row, name: string) =>
  table(Object.entries(values).map(([key, value]) => ({ [name]: key, value })))

function history(entries: Entry[]): string {
  return entries.length === 0 ? 'nothing is recorded\n' : table(entries.map(columnsOf))
}

/** One entry of the journal as a line. */
export const line = (entry: Entry): string =>
  `${Object.entries(columnsOf(entry))
    .filter(([, value]) => value !== '')
    .map(([column, value]) => (column === 'slot' || column === 'pid' ? `${column} ${value}` : value))
    .join('  ')}\n`

function columnsOf({ at, event, slot, pid, generation, why, command, who }: Entry): Row {
  const about = [command === undefined ? '' : `${command}, ${who}`, why ?? ''].filter(Boolean).join(': ')
  // Anybody's text may be in it: it stays in its line.
  const where = { slot: slot ?? '', pid: pid ?? '', generation: generation ?? '' }
  return { time: at, event, ...where, why: about.replace(/[\s\p{Cc}]+/gu, ' ') }
}

function table(rows: Row[], colours = false): string {
  // One that has not said anything yet has fewer.
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))]
  const lines = [columns, ...rows.map((row) => columns.map((column) => text(row[column], column)))]
  const widths = columns.map((_, i) => Math.max(...lines.map((cells) => (cells[i] ?? '').length)))
  const show = (cell: string, i: number) => {
    const colour = colours && COLOURED.has(columns[i] ?? '') ? COLOURS[cell] : undefined
    const padded = cell.padEnd(widths[i] ?? 0)
    return colour ? styleText(colour, padded, { validateStream: false }) : padded
  }
  return lines.map((cells) => `${cells.map(show).join('  ').trimEnd()}\n`).join('')
}

function text(value: unknown, column: string): string {
  if (value === undefined) return ''
  if (column.endsWith('At')) return new Date(value as number).toISOString()
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
