import { styleText } from 'node:util'
import { printable } from '../../common/text/printable.ts'
import { formatBytes, formatCount, formatDuration, formatSeconds, formatTime } from '../../common/text/units.ts'

export type Colour = Parameters<typeof styleText>[0]

/** The colour of each word of a state. */
export const STATE_COLOURS: Record<string, Colour> = {
  ready: 'green',
  running: 'green',
  done: 'green',
  starting: 'yellow',
  draining: 'yellow',
  reloading: 'yellow',
  upgrading: 'yellow',
  stopped: 'yellow',
  waiting: 'yellow',
  degraded: 'red',
  failed: 'red',
  refused: 'red'
}

/** Where text is shown. */
export interface Screen {
  hasColours: boolean
  /** The number of characters in a line; longer texts are continued in the next one. */
  width: number
}

/** What a pipe or a file gets: no colours, and each row in one line. */
export const NO_SCREEN: Screen = { hasColours: false, width: Number.POSITIVE_INFINITY }

export interface Column<Row> {
  title: string
  /** The text of a cell; undefined: an empty cell. */
  show: (row: Row) => string | undefined
  /** Quantities are aligned at the right. */
  isQuantity?: boolean
  colour?: (row: Row) => Colour | undefined
}

/** Colours a text, if the screen has colours. */
export const paint = ({ hasColours }: Screen, colour: Colour | undefined, text: string): string =>
  hasColours && colour ? styleText(colour, text, { validateStream: false }) : text

/** Formats rows below their titles. The text of the last column is continued below itself when it is too long. */
export function table<Row>(rows: readonly Row[], columns: readonly Column<Row>[], screen: Screen): string {
  const cells = rows.map((row) => columns.map(({ show }) => printable(show(row) ?? '')))
  const titles = columns.map(({ title }) => title)
  const widths = columns.map((_, i) => Math.max(...[titles, ...cells].map((line) => line[i]?.length ?? 0)))
  const indent = widths.slice(0, -1).reduce((sum, width) => sum + width + 2, 0)
  const formatLine = (line: string[], row?: Row) => {
    const [first = '', ...more] = wrap(line.at(-1) ?? '', screen.width - indent)
    const shown = [...line.slice(0, -1), first].map((cell, i) => {
      const { isQuantity, colour } = columns[i]!
      const padded = isQuantity ? cell.padStart(widths[i]!) : cell.padEnd(i === columns.length - 1 ? 0 : widths[i]!)
      return paint(screen, row && colour?.(row), padded)
    })
    const continued = more.map((text) => `${' '.repeat(indent)}${text}\n`).join('')
    return `${shown.join('  ').trimEnd()}\n${continued}`
  }
  return [formatLine(titles), ...rows.map((row, i) => formatLine(cells[i]!, row))].join('')
}

/** Formats an object as one line for each value that is there. */
export function card(values: object, screen: Screen): string {
  const shown = Object.entries(values).map(([key, value]) => [labelOf(key), valueText(key, value)] as const)
  const width = Math.max(...shown.map(([label]) => label.length))
  return shown
    .map(([label, text]) => {
      const lines = wrap(printable(text), screen.width - width - 2)
      const show = (line: string) => paint(screen, STATE_COLOURS[text], line)
      return lines.map((line, i) => `${(i === 0 ? printable(label) : '').padEnd(width)}  ${show(line)}\n`).join('')
    })
    .join('')
}

/** Breaks a text into lines between words. A word that is longer than a line is not broken. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > Math.max(width, 20)) {
      lines.push(line)
      line = word
    } else line += line === '' ? word : ` ${word}`
  }
  return [...lines, line]
}

/** The name of a field in words, without its unit: `loop delay` for `loopDelayMs`. */
export const labelOf = (key: string): string =>
  key
    .replace(/(Ms|Bytes|Seconds|At)$/, '')
    .replace(/([a-z])([A-Z])/g, (_, a: string, b: string) => `${a} ${b.toLowerCase()}`)

/** Shows a value with the unit that its name ends with, and words for what is empty or not set. */
export function valueText(key: string, value: unknown): string {
  if (value === null || value === undefined) return 'not set'
  if (value === '') return 'empty'
  if (typeof value === 'number') return numberText(key, value)
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.map((item) => valueText(key, item)).join(', ')
  if (typeof value !== 'object') return String(value)
  const parts = Object.entries(value).filter(([, part]) => part !== 0)
  return parts.map(([name, part]) => `${labelOf(name)} ${valueText(key, part)}`).join(', ') || 'none'
}

function numberText(key: string, value: number): string {
  if (key === 'pid' || key === 'slot' || !Number.isFinite(value)) return String(value)
  if (/bytes$/i.test(key)) return formatBytes(value)
  if (/ms$/i.test(key)) return formatDuration(value)
  if (/seconds$/i.test(key)) return formatSeconds(value)
  return /At$/.test(key) ? formatTime(new Date(value)) : formatCount(value)
}
