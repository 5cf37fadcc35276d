import { http } from '../common/node-http.ts'
import type { CommandAnswer } from '../ipc/messages.ts'

/** What is not done, and why: in the JSON shape of all errors, and with the `ok` of all answers to commands. */
export function refusal(statusCode: number, message: string, coded?: string): CommandAnswer {
  const error = http.STATUS_CODES[statusCode] ?? 'Error'
  const code = coded ?? error.toUpperCase().replace(/[^A-Z]+/g, '_')
  return { statusCode, body: { ok: false, statusCode, code, error, message } }
}
