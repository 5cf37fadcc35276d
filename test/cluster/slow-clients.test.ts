import assert from 'node:assert/strict'
import type { DrainStats } from '../../src/ipc/messages.ts'
import { Good } from '../helpers/good.ts'
import { Connection } from '../helpers/http.ts'
import { fixture } from '../helpers/load.ts'
import { startRedis } from '../helpers/redis.ts'
import { startService } from '../helpers/service.ts'
import { type Kind, SlowClients } from '../helpers/slow-clients.ts'
import { cpuWaitMs, timed } from '../helpers/timed.ts'
import { until } from '../helpers/until.ts'

/** Clients of each kind on new connections. Half as many more are on transferred connections. */
const CLIENTS: Record<Kind, number> = { head: 100, body: 100, read: 50 }
const TIMEOUTS = { HEADERS_TIMEOUT: '1500', REQUEST_TIMEOUT: '2500', SEND_TIMEOUT: '2000', KEEP_ALIVE_TIMEOUT: '60000' }
/** Longest life of each kind, in ms: its timeout, and 2 s until the check sees it. */
const KEPT: Record<Kind, number> = { head: 1500 + 2000, body: 2500 + 2000, read: 2000 + 2000 }

timed('slow clients are cut in time, on transferred connections too', async (t) => {
  const { url } = await startRedis(t)
  const service = await startService(t, { env: { REDIS_URL: url, APP: fixture('much'), ...TIMEOUTS } })
  const kinds = Object.keys(CLIENTS) as Kind[]
  const handed = await Promise.all(
    kinds.flatMap((kind) =>
      Array.from({ length: CLIENTS[kind] / 2 }, async () => {
        const connection = await Connection.open(service.port)
        await connection.request('GET', '/livez')
        return { kind, connection }
      })
    )
  )
  const { connections } = await service.reload()
  assert.ok((connections as DrainStats).handedOver >= handed.length, 'all of them were transferred')

  const waitedBefore = cpuWaitMs()
  const good = new Good(t, service.port)
  const slow = new SlowClients(t, service.port)
  for (const { kind, connection } of handed) slow.begin(kind, connection.socket)
  await Promise.all(kinds.map((kind) => slow.add(kind, CLIENTS[kind])))
  const before = good.answered
  await until(() => slow.held === 0, 'the end of all slow clients').catch(() => {})
  const meanwhile = good.answered - before
  await good.stop()

  // A busy machine delays all that is done from the connection to the end, and the look at it, as it delays answers.
  const lateMs = slow.longestGapMs + 4 * good.percentile(1) + cpuWaitMs() - waitedBefore
  for (const kind of kinds) {
    const kept = [...slow.all.values()].filter((client) => client.kind === kind).map(({ keptMs = Infinity }) => keptMs)
    t.diagnostic(
      `${kind}: ${kept.length} kept for ${Math.round(Math.min(...kept))} to ${Math.round(Math.max(...kept))} ms`
    )
    assert.ok(Math.max(...kept) <= KEPT[kind] + lateMs, `${kind}: ${Math.max(...kept)} ms, late by ${lateMs}`)
    assert.ok(Math.min(...kept) >= 1400, `${kind}: cut early, after ${Math.min(...kept)} ms`)
  }
  const [median, p99] = [good.percentile(0.5), good.percentile(0.99)]
  t.diagnostic(
    `${good.answered} good requests, ${meanwhile} while all slow clients were there, median ${median.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`
  )
  assert.deepEqual(good.failures, [])
  // No time is measured here, on a machine that others share: who had to wait for slow clients would have one answer.
  assert.ok(meanwhile >= 4, `${meanwhile} answers while slow clients were kept`)
})
