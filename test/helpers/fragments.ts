/**
 * Code in the documentation is often a part of a plugin. `asModule` makes it a whole one: a fragment becomes the body of the plugin,
 * and names that stand for the reader's own code are declared here.
 */
const READERS_OWN = `
const check = async (_body) => 'ada'
const handler = async () => ({ ok: true })
const recount = async (_body, _signal) => ({ stock: 1 })
const sendReport = async (_options) => {}
const sendInvoices = async (_month) => {}
const fetchQuote = async (_name) => ({ name: _name, price: 1 })
const prices = new Map()
const server = app.server
const webSocketServer = { clients: new Set() }
const io = { local: { emit: (_event, _text) => {} } }
`
const IMPORTS = `
import cors from '@fastify/cors'
import { Counter } from 'prom-client'
import { HttpError, openEventStream } from 'muster-serve'
`

export function asModule(code: string): string {
  if (/^export default/m.test(code)) return code
  const exports = code.match(/^export const .*$/gm)
  if (exports) return `${exports.join('\n')}\nexport default async (app) => {}`
  return `${IMPORTS}export default async (app) => {${READERS_OWN}\n${code.replaceAll('{ … }', '{}')}\n}`
}
