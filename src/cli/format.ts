import { styleText } from 'node:util'
import type { JournalEntry } from '../admin/journal-file.ts'

/** A row of a table: values by column. */
export interface Row {
  [column: string]: unknown
}

/** The colour of each word of a state, on terminals with colours. */
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
const COLOURED_COLUMNS = new Set(['status', 'state', 'outcome'])

/** Control characters, and characters that change the direction of text: a terminal would obey them. */
const UNPRINTABLE = /[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu

/** Escapes unprintable characters as JSON does: the text may come from any client. */
export const printable = (text: string): string => text.replace(UNPRINTABLE, escaped)

function escaped(character: string): string {
  const short = JSON.stringify(character).slice(1, -1)
  return short === character ? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}` : short
}

/** A value as a line of JSON. JSON.stringify escapes most control characters, but not 0x7f to 0x9f. */
export const jsonLine = (value: unknown): string => `${printable(JSON.stringify(value))}\n`

/** Formats the result of a command as text. @param colours whether the terminal has colours */
export function format(command: string, result: unknown, colours: boolean): string {
  if (command === 'why' || command === 'journal' || command === 'audit') return formatJournal(result as JournalEntry[])
  if (command.startsWith('settings-') || command === 'log-level') {
    return formatValues((result as { values: Row }).values, 'setting')
  }
  if (command === 'config') return formatValues(result as Row, 'variable')
  if (command === 'status') return formatStatus(result as StatusRows, colours)
  if (result === null) return 'ok\n'
  if (typeof result === 'string') return `${printable(result)}\n`
  const rows = [result as Row | Row[]].flat()
  return rows.length > 0 ? table(rows, colours) : 'none\n'
}

/** Formats one journal entry as a line. */
export const formatEntry = (entry: JournalEntry): string =>
  `${Object.entries(columnsOf(entry))
    .filter(([, value]) => value !== '')
    .map(([column, value]) => (column === 'slot' || column === 'pid' ? `${column} ${value}` : value))
    .map((value) => printable(String(value)))
    .join('  ')}\n`

interface StatusRows extends Row {
  workers: Row[]
  lastReload: Row | null
}

/** A table of the service, one of its workers, and one of the last reload. */
function formatStatus({ workers, lastReload, restarts: _, ...service }: StatusRows, colours: boolean): string {
  const tables = [[service], workers, ...(lastReload ? [[lastReload]] : [])]
  return tables.map((rows) => table(rows, colours)).join('\n')
}

const formatValues = (values: Row, name: string) =>
  table(Object.entries(values).map(([key, value]) => ({ [name]: key, value })))

function formatJournal(entries: JournalEntry[]): string {
  return entries.length === 0 ? 'nothing is recorded\n' : table(entries.map(columnsOf))
}

function columnsOf({ at, event, slot, pid, generation, why, command, who }: JournalEntry): Row {
  const details = [command === undefined ? '' : `${command}, ${who}`, why ?? ''].filter(Boolean).join(': ')
  return {
    time: at,
    event,
    slot: slot ?? '',
    pid: pid ?? '',
    generation: generation ?? '',
    // The text may come from any client: line breaks in it must not make new lines of the table.
    why: details.replace(/[\s\p{Cc}]+/gu, ' ')
  }
}

function table(rows: Row[], colours = false): string {
  // Rows may lack columns: a worker without a heartbeat has fewer.
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))]
  const lines = [columns.map(printable), ...rows.map((row) => columns.map((column) => cellText(row[column], column)))]
  const widths = columns.map((_, i) => Math.max(...lines.map((cells) => (cells[i] ?? '').length)))
  const show = (cell: string, i: number) => {
    const colour = colours && COLOURED_COLUMNS.has(columns[i] ?? '') ? COLOURS[cell] : undefined
    const padded = cell.padEnd(widths[i] ?? 0)
    return colour ? styleText(colour, padded, { validateStream: false }) : padded
  }
  return lines.map((cells) => `${cells.map(show).join('  ').trimEnd()}\n`).join('')
}

function cellText(value: unknown, column: string): string {
  if (value === undefined) return ''
  if (value === null) return 'not set'
  if (column.endsWith('At')) return new Date(value as number).toISOString()
  return printable(typeof value === 'object' ? JSON.stringify(value) : String(value))
}
