import { styleText } from 'node:util'
import { createDeveloperFilter } from './text/developer-log.ts'
import { isOfPackage, printable } from './text/printable.ts'
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

export interface PrinterOptions {
  /** Whether the terminal has colours. */
  hasColours: boolean
  /** Whether lines that are of little use to people are shown too; otherwise they become an empty text. */
  showsAll?: boolean
  /** Whether `muster dev` runs: a reload is one line then. */
  isDeveloped?: boolean
}

/** Creates a function that turns a line of the JSON log into text for people: one line, and the stack of an error below it. */
export function createPrinter({ hasColours, showsAll = false, isDeveloped = false }: PrinterOptions) {
  const paint = (style: Style, text: string) => (hasColours ? styleText(style, text, { validateStream: false }) : text)
  const filter = isDeveloped && !showsAll ? createDeveloperFilter() : (fields: Fields) => fields
  let isStarting = true
  return (line: string): string => {
    const logged = parse(line)
    if (!logged) return line
    const fields = filter(logged)
    if (!fields) return ''
    const level = Number(fields.level)
    if (fields.msg === 'service ready') isStarting = false
    const isPart = PARTS.has(String(fields.msg)) || (isStarting && fields.msg === 'worker ready')
    if (!showsAll && level === INFO && isPart) return ''
    const [name, style] = LEVELS[level] ?? ['', 'reset']
    const time = paint('gray', new Date(Number(fields.time)).toTimeString().slice(0, 8))
    const text = describe(fields)
    const shown = level >= WARN ? paint(style, `${name}${text}`) : `${name}${text}`
    const more = [...linesOf(fields.why).slice(1), ...stackOf(fields.err, isDeveloped)].slice(0, STACK_LINES)
    return `${time} ${shown}\n${more.map((row) => `${paint('gray', `         ${printable(row)}`)}\n`).join('')}`
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
  return join([event, ...linesOf(why).slice(0, 1), ...details, ...process, ...owner])
}

const requestText = ({ method, url, status, ms, aborted }: Fields) =>
  `${method} ${url} ${status} ${formatDuration(Number(ms))}${aborted ? ' aborted' : ''}`

const countOf = (workers: unknown) => `${workers} ${workers === 1 ? 'worker' : 'workers'}`

const join = (parts: unknown[]) => parts.map((part) => printable(String(part))).join(' · ')

function detail(key: string, value: unknown): string | [] {
  if (Array.isArray(value)) return value.length > 0 ? `${key} ${value.join(', ')}` : []
  if (typeof value === 'object' && value !== null) {
    const shown = Object.entries(value).filter(([, part]) => part !== 0)
    return shown.length > 0 ? `${key} ${shown.map(([name, part]) => `${name} ${JSON.stringify(part)}`).join(', ')}` : []
  }
  if (typeof value === 'number' && /ms$/i.test(key)) return `${key.replace(/ms$/i, '')} ${formatDuration(value)}`.trim()
  return `${key} ${value}`
}

/** A reason may contain an error with its stack. */
const linesOf = (why: unknown): string[] => (why === undefined ? [] : String(why).trimEnd().split('\n'))

/** The message and the stack of an error. @param isOwnOnly leaves out the lines of packages */
function stackOf(error: unknown, isOwnOnly: boolean): string[] {
  if (typeof error !== 'object' || error === null) return []
  const { type, message, stack = `${type}: ${message}` } = error as { type?: string; message?: string; stack?: string }
  const isShown = (line: string) => !line.includes('(node:internal') && !(isOwnOnly && isOfPackage(line))
  return stack.split('\n').filter(isShown)
}
