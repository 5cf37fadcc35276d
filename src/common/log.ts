import { isatty } from 'node:tty'
import { type Logger, pino, stdSerializers } from 'pino'
import type { Config } from '../config/load.ts'
import { Stdout } from './log-output.ts'

export type { Logger }

/** Who writes a line: the primary, or the worker of a slot and generation. */
export type Identity = { role: 'primary' } | { role: 'worker'; worker: number; generation: number }

type LogConfig = Pick<Config, 'logLevel'> & Partial<Pick<Config, 'session' | 'admin' | 'metricsTokens'>>

/** The process has one. */
let stdout: Stdout | undefined

/** JSON lines on stdout; on a terminal, lines for people. Secrets and ids of sessions never reach it. */
export async function createLog(config: LogConfig, identity: Identity): Promise<Logger> {
  const options = logOptions(config, identity)
  const pretty = isatty(1) && (await import('pino-pretty').catch(() => undefined))
  if (pretty) return pino(options, pretty.default({ sync: true, ignore: 'role' }))
  stdout = new Stdout()
  const log = pino(options, stdout)
  stdout.onDropped = (lines) => log.warn({ lines }, 'log lines were dropped: standard output is read too slowly')
  return log
}

/** What pino is made with, wherever it writes to. */
export const logOptions = (config: LogConfig, identity: Identity) => ({
  level: config.logLevel,
  base: { pid: process.pid, ...identity },
  serializers: { err: serializeError },
  hooks: { streamWrite: hider(secretsOf(config)) }
})

export const DROPPED = {
  name: 'log_lines_dropped_total',
  help: 'Lines of the log that were dropped because standard output was not read.'
}

/** Lines that this process has dropped. */
export const droppedLines = (): number => stdout?.dropped ?? 0

/** What is logged within goes at the end of this turn of the event loop, together; everything else goes at once. */
export const together = (log: () => void): void => (stdout ? stdout.hold(log) : log())

const secretsOf = ({ session, admin, metricsTokens }: LogConfig): readonly string[] =>
  [session?.secrets, admin?.controlTokens, admin?.readTokens, metricsTokens].flatMap((list) => list ?? [])

/** What stands in front of a secret: in text, a session's cookie and its key in Redis, a token, the password of a URL; … */
const BEFORE = String.raw`\bsid=|:\{?session:|\b(?:Bearer|Basic) |:\/\/[^\s"/:@]*:(?=[^\s"/@]+@)`
/** … in an object, the names of such fields. */
const FIELD = String.raw`"(?:(?:set-)?cookie|authorization|sessionId|password)":\[?"`

/** Takes out of a line whatever is a secret, wherever it came from. */
export function hider(secrets: readonly string[]): (line: string) => string {
  const literal = secrets.map((secret) =>
    JSON.stringify(secret)
      .slice(1, -1)
      .replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')
  )
  const kinds = [`(${BEFORE})[^\\s"';,@}\\\\]+`, `(${FIELD})(?:[^"\\\\]|\\\\.)+`, ...literal]
  const found = new RegExp(kinds.join('|'), 'gi')
  const hide = (_: string, before = '', field = '') => `${before}${field}[hidden]`
  return (line) => (line.search(found) < 0 ? line : line.replace(found, hide))
}

interface Serialized {
  cause?: Serialized
  aggregateErrors?: Serialized[]
  command?: { name?: string }
}

/** With its causes. Of a Redis command that failed only the name: its arguments are keys and values. */
function serializeError(error: Error): unknown {
  const serialized = stdSerializers.errWithCause(error) as Serialized
  for (const one of [serialized, serialized?.cause, ...(serialized?.aggregateErrors ?? [])]) {
    if (one?.command) one.command = { name: String(one.command.name) }
  }
  return serialized
}
