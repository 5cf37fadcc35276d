// Jobs: `every` runs one worker of all once per period, `once` does something a single time for all callers.
import { setTimeout as sleep } from 'node:timers/promises'

const PERIOD_MS = Number(process.env.PERIOD_MS ?? 60_000)
const MONTH_MS = 31 * 24 * 3600 * 1000
const KEPT = 100

export const muster = { sessions: false }

export default async function (app) {
  const { every, once, counter } = app.shared

  // The signal is aborted when this worker is replaced: a long run stops at a safe point and the next one goes on.
  every('report', PERIOD_MS, async ({ period, signal }) => {
    const orders = await counter('orders').read()
    if (signal.aborted) return
    const report = { period: new Date(period).toISOString(), orders, by: app.worker.pid }
    await app.redis
      .multi()
      .lpush('reports', JSON.stringify(report))
      .ltrim('reports', 0, KEPT - 1)
      .exec()
    app.log.info(report, 'report written')
  })

  app.get('/reports', async () => {
    const reports = await app.redis.lrange('reports', 0, -1)
    return reports.map((report) => JSON.parse(report))
  })

  app.post('/orders', async () => ({ number: await counter('orders').increment() }))

  // Two clicks, or a retry at another worker: the invoices of a month are sent once. After an error the next call tries again.
  app.post('/invoices/:month', { schema: { params: monthSchema } }, async (request) => {
    const { month } = request.params
    const sent = await once(`invoices.${month}`, MONTH_MS, ({ signal }) => sendInvoices(month, signal))
    return { month, sent }
  })

  async function sendInvoices(month, signal) {
    await sleep(50, undefined, { signal }) // Your work is here.
    app.log.info({ month, number: await counter('invoices').increment() }, 'invoices sent')
  }
}

const monthSchema = { type: 'object', properties: { month: { type: 'string', pattern: '^\\d{4}-\\d{2}$' } } }
