import { styleText } from 'node:util'
import { printable } from './text/printable.ts'
import { formatDuration } from './text/units.ts'

type Fields = Record<string, unknown>
type Style = Parameters<typeof styleText>[0]

const LEVELS: Record<number, readonly [name: string, style: Style]> = {
  10: ['trace ', 'gray'],
  20: ['debug ', 'gray'],
  40: ['warn ', 'yellow'],
  50: ['error ', 'red'],
  60: ['fatal ', 'red']
}
const WARN = 40
const INFO = 30
/** Lines that another line sums up: those of a start, and the beginning of a command. */
const PARTS = new Set(['muster started', 'embedded Redis ready', 'worker started', 'Redis is up', 'command received'])
/** Shown elsewhere in the line, or of no use to a person at a terminal. */
const NOT_LISTED = new Set(
  'level time pid role worker slot msg err reqId release why status transport from acks outcome ok statusCode'.split(
    ' '
  )
)
const STACK_LINES = 5

/**
 * Creates a function that turns a line of the JSON log into text for people: one line, and the stack of an error below it.
 * @param hasColours whether the terminal has colours
 * @param showsAll whether lines that are of little use to people are shown too; otherwise they become an empty text
 */
export function createPrinter(hasColours: boolean, showsAll = false): (line: string) => string {
  const paint = (style: Style, text: string) => (hasColours ? styleText(style, text, { validateStream: false }) : text)
  let isStarting = true
  return (line) => {
    const fields = parse(line)
    if (!fields) return line
    const level = Number(fields.level)
    if (fields.msg === 'service ready') isStarting = false
    const isPart = PARTS.has(String(fields.msg)) || (isStarting && fields.msg === 'worker ready')
    if (!showsAll && level === INFO && isPart) return ''
    const [name, style] = LEVELS[level] ?? ['', 'reset']
    const time = paint('gray', new Date(Number(fields.time)).toTimeString().slice(0, 8))
    const text = describe(fields)
    const shown = level >= WARN ? paint(style, `${name}${text}`) : `${name}${text}`
    return `${time} ${shown}\n${describeError(fields.err).replace(/.+/g, (row) => paint('gray', row))}`
  }
}

/** @returns undefined for a line that is no JSON object */
function parse(line: string): Fields | undefined {
  try {
    return JSON.parse(line) as Fields
  } catch {
    return undefined
  }
}

function describe(fields: Fields): string {
  const { msg, role, worker, slot, why } = fields
  const owner = role === 'worker' ? [`worker ${worker}`] : []
  if (msg === 'request' && fields.method !== undefined) return join([requestText(fields), ...owner])
  if (msg === 'service ready') return join([`ready on ${fields.url}`, countOf(fields.workers), fields.redis])
  // In lines of the primary, `worker` is a process id.
  const event = role === 'primary' && slot !== undefined ? String(msg).replace(/^worker\b/, `worker ${slot}`) : msg
  const hidden = (key: string) => NOT_LISTED.has(key) || (role === 'worker' && key === 'generation')
  const details = Object.entries(fields).flatMap(([key, value]) => (hidden(key) ? [] : detail(key, value)))
  const process = role === 'primary' && worker !== undefined ? [`pid ${worker}`] : []
  return join([event, ...(why === undefined ? [] : [why]), ...details, ...process, ...owner])
}

const requestText = ({ method, url, status, ms, aborted }: Fields) =>
  `${method} ${url} ${status} ${formatDuration(Number(ms))}${aborted ? ' aborted' : ''}`

const countOf = (workers: unknown) => `${workers} ${workers === 1 ? 'worker' : 'workers'}`

const join = (parts: unknown[]) => parts.map((part) => printable(String(part))).join(' · ')

function detail(key: string, value: unknown): string | [] {
  if (typeof value === 'object' && value !== null) {
    const shown = Object.entries(value).filter(([, part]) => part !== 0)
    return shown.length > 0 ? `${key} ${shown.map(([name, part]) => `${name} ${JSON.stringify(part)}`).join(', ')}` : []
  }
  if (typeof value === 'number' && /ms$/i.test(key)) return `${key.replace(/ms$/i, '')} ${formatDuration(value)}`.trim()
  return `${key} ${value}`
}

/** The message, the first lines of the stack and the cause of an error, indented. */
function describeError(error: unknown): string {
  if (typeof error !== 'object' || error === null) return ''
  const { type, message, stack = `${type}: ${message}` } = error as { type?: string; message?: string; stack?: string }
  const lines = stack.split('\n').filter((line) => !line.includes('(node:internal'))
  return lines
    .slice(0, STACK_LINES)
    .map((line) => `         ${printable(line)}\n`)
    .join('')
}
