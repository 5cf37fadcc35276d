import { isatty } from 'node:tty'
import { type Logger, pino, stdSerializers } from 'pino'
import { LogOutput } from './log-output.ts'

export type { Logger }

/** The process that writes a line: the primary, or the worker of a slot and generation. */
export type Identity = { role: 'primary' } | { role: 'worker'; worker: number; generation: number }

/** The part of the configuration that the log needs: the level, the format, and all secrets, which it must never show. */
export interface LogConfig {
  logLevel: string
  /** Default: `auto`, readable text on a terminal and JSON elsewhere. */
  logFormat?: 'auto' | 'json' | 'pretty'
  /** Defined: the process traces, see {@link traceLines}. */
  telemetry?: object | undefined
  session?: { secrets: readonly string[] | undefined }
  admin?: { controlTokens: readonly string[] | undefined; readTokens: readonly string[] | undefined }
  metricsTokens?: readonly string[] | undefined
}

type TraceReader = () => object | undefined

/** Reads the trace of the code that logs; undefined unless the process traces. */
let readTrace: TraceReader | undefined
const TRACED = Symbol('traced')

/** Adds what `read` returns to every line, except to lines of loggers that {@link markTraced} was called with. */
export function traceLines(read: TraceReader): void {
  readTrace = read
}

/** Marks a logger whose lines contain a trace already. */
export const markTraced = <Log extends object>(log: Log): Log => Object.assign(log, { [TRACED]: true })

/** The output of this process; undefined before the log is created. */
let output: LogOutput | undefined

/**
 * Creates the log of this process: JSON lines on standard output, or readable text on a terminal. Secrets are removed.
 * @param isDeveloped whether `muster dev` runs
 */
export async function createLog(config: LogConfig, identity: Identity, isDeveloped = false): Promise<Logger> {
  output = new LogOutput()
  const log = pino(logOptions(config, identity), await destinationOf(config, output, isDeveloped))
  output.onDropped = (lines) => log.warn({ lines }, 'log lines dropped: standard output is read too slowly')
  return log
}

/** @returns the output, behind a printer for people when the format asks for it */
async function destinationOf({ logFormat = 'auto', logLevel }: LogConfig, output: LogOutput, isDeveloped: boolean) {
  const isTerminal = isatty(1)
  if (logFormat === 'json' || (logFormat === 'auto' && !isTerminal)) return output
  const { createPrinter } = await import('./pretty-log.ts')
  const hasColours = isTerminal && process.stdout.hasColors()
  const showsAll = logLevel === 'debug' || logLevel === 'trace'
  const print = createPrinter({ hasColours, showsAll, isDeveloped })
  return { write: (line: string) => output.write(print(line)) }
}

/** The options of pino, for any destination. */
export const logOptions = (config: LogConfig, identity: Identity) => ({
  level: config.logLevel,
  base: { pid: process.pid, ...identity },
  serializers: { err: serializeError },
  // Loggers inherit from the logger that made them, and so the mark.
  ...(config.telemetry && {
    mixin: (_fields: object, _level: number, log: object) => (TRACED in log ? {} : (readTrace?.() ?? {}))
  }),
  hooks: { streamWrite: createRedactor(secretsOf(config)) }
})

/** The metric of {@link droppedLines}. */
export const DROPPED_LINES = {
  name: 'log_lines_dropped_total',
  help: 'Lines of the log that were dropped because standard output was not read.'
}

/** The number of log lines that this process has dropped. */
export const droppedLines = (): number => output?.dropped ?? 0

/** Writes what `log` logs at the end of this turn of the event loop, in one write with the lines of other calls. */
export const logInBatch = (log: () => void): void => (output ? output.batch(log) : log())

const secretsOf = ({ session, admin, metricsTokens }: LogConfig): readonly string[] =>
  [session?.secrets, admin?.controlTokens, admin?.readTokens, metricsTokens].flatMap((list) => list ?? [])

/** What precedes a secret in text: a session's cookie or its key in Redis, a token, the user in a URL with a password. */
const TEXT_BEFORE_SECRET = String.raw`\bsid=|:\{?session:|\b(?:Bearer|Basic) |:\/\/[^\s"/:@]*:(?=[^\s"/@]+@)`
/** The beginning of a JSON field whose value is a secret. */
const SECRET_FIELD = String.raw`"(?:(?:set-)?cookie|authorization|sessionId|password)":\[?"`

/**
 * Creates a function that replaces every secret in a line by `[hidden]`, wherever it comes from.
 * @param secrets are replaced besides the kinds of secrets that can be recognized
 */
export function createRedactor(secrets: readonly string[]): (line: string) => string {
  const literals = secrets.map((secret) =>
    JSON.stringify(secret)
      .slice(1, -1)
      .replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')
  )
  const kinds = [`(${TEXT_BEFORE_SECRET})[^\\s"';,@}\\\\]+`, `(${SECRET_FIELD})(?:[^"\\\\]|\\\\.)+`, ...literals]
  const pattern = new RegExp(kinds.join('|'), 'gi')
  const redact = (_: string, text = '', field = '') => `${text}${field}[hidden]`
  return (line) => (line.search(pattern) < 0 ? line : line.replace(pattern, redact))
}

interface SerializedError {
  cause?: SerializedError
  aggregateErrors?: SerializedError[]
  command?: { name?: string }
}

/** Serializes an error with its causes. Of a failed Redis command only the name: its arguments are keys and values. */
function serializeError(error: Error): unknown {
  const serialized = stdSerializers.errWithCause(error) as SerializedError
  for (const one of [serialized, serialized?.cause, ...(serialized?.aggregateErrors ?? [])]) {
    if (one?.command) one.command = { name: String(one.command.name) }
  }
  return serialized
}
