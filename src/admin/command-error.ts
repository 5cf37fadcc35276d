import { http } from '../common/node-http.ts'
import type { CommandAnswer } from '../ipc/messages.ts'

/** A command cannot be done as asked. The message is for the caller: the problem, then the remedy. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  /** The status code of an HTTP answer. */
  readonly statusCode: number

  constructor(message: string, statusCode = 400) {
    super(message)
    this.statusCode = statusCode
  }
}

/**
 * Makes the answer to a command that was refused or failed: the JSON shape of all HTTP errors, with `ok: false`.
 * @param code the upper-case error code; without one, it is made from the status code (404: NOT_FOUND)
 */
export function errorAnswer(statusCode: number, message: string, code?: string): CommandAnswer {
  const error = http.STATUS_CODES[statusCode] ?? 'Error'
  const body = {
    ok: false as const,
    statusCode,
    code: code ?? error.toUpperCase().replace(/[^A-Z]+/g, '_'),
    error,
    message
  }
  return { statusCode, body }
}
