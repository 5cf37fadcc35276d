import { type Logger, pino, stdSerializers } from 'pino'
import type { Config } from './config.ts'

export type { Logger }

/** Who writes a line: the primary, or the worker of a slot and generation. */
export type Identity = { role: 'primary' } | { role: 'worker'; worker: number; generation: number }

/** JSON lines on stdout; on a terminal, lines for people. Cookies and tokens never reach it. */
export async function createLog(config: Pick<Config, 'logLevel'>, identity: Identity): Promise<Logger> {
  const options = {
    level: config.logLevel,
    base: { pid: process.pid, ...identity },
    redact: ['req.headers.cookie', 'req.headers.authorization', 'res.headers["set-cookie"]'],
    serializers: { err: stdSerializers.errWithCause }
  }
  const pretty = process.stdout.isTTY && (await import('pino-pretty').catch(() => undefined))
  return pretty ? pino(options, pretty.default({ sync: true, ignore: 'hostname,role' })) : pino(options)
}
