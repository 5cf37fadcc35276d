import { styleText } from 'node:util'
import type { Entry } from '../admin/journal.ts'

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

/** Control characters, and those that change the direction of text: a terminal would obey them. */
const UNPRINTABLE = /[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu

/** Escapes what a terminal would obey, as JSON does: any user's text may be in it. */
export const printable = (text: string): string => text.replace(UNPRINTABLE, escaped)

function escaped(character: string): string {
  const short = JSON.stringify(character).slice(1, -1)
  return short === character ? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}` : short
}

/** A value as a line of JSON. JSON.stringify escapes most control characters, but not 0x7f to 0x9f. */
export const jsonLine = (value: unknown): string => `${printable(JSON.stringify(value))}\n`

/** The result of a command, for people. @param colours on a terminal */
export function format(command: string, result: unknown, colours: boolean): string {
  if (command === 'why' || command === 'journal' || command === 'audit') return history(result as Entry[])
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
  if (typeof result === 'string') return `${printable(result)}\n`
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
    .map((value) => printable(String(value)))
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
  const lines = [columns.map(printable), ...rows.map((row) => columns.map((column) => text(row[column], column)))]
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
  return printable(typeof value === 'object' ? JSON.stringify(value) : String(value))
}
