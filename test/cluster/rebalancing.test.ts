import assert from 'node:assert/strict'
import { test } from 'node:test'
import { once } from '../helpers/http.ts'
import { fixture } from '../helpers/load.ts'
import { parseMetrics } from '../helpers/metrics.ts'
import { type Service, startService } from '../helpers/service.ts'
import { ThinkingClients } from '../helpers/thinking-clients.ts'
import { until } from '../helpers/until.ts'
import '../helpers/takes-long.ts'

const BLOCK_MS = 10
const env = {
  REDIS: 'off',
  APP: fixture('blocking'),
  KEEP_ALIVE_TIMEOUT: '120000',
  BOOT_TIMEOUT: '120000',
  REBALANCE: 'on'
}

/** The first three connections of the worker that has most of them. */
function threeOfOneWorker(slots: readonly (number | undefined)[]): number[] {
  const of = (slot: number) => slots.flatMap((each, id) => (each === slot ? [id] : []))
  const [most = []] = [0, 1, 2, 3].map(of).sort((a, b) => b.length - a.length)
  return most.slice(0, 3)
}

async function utilizations({ port }: Service): Promise<number[]> {
  const { body } = await once(port, 'GET', '/metrics')
  const series = [...parseMetrics(body)]
  return series.flatMap(([name, value]) => (/^cluster_worker_event_loop_utilization_ratio/.test(name) ? [value] : []))
}

test('three hot connections of one worker are spread over three workers, and no request fails', async (t) => {
  const service = await startService(t, { env, workers: 4 })
  const clients = await ThinkingClients.open(t, service.port, 20, BLOCK_MS)
  // A worker that has just started is busy with itself.
  await until(async () => (await utilizations(service)).every((busy) => busy < 0.3), 'workers at rest', 120_000)
  const hot = threeOfOneWorker(clients.slots)
  const slotsOfHot = () => new Set(hot.map((id) => clients.slots[id]))
  assert.equal(slotsOfHot().size, 1)
  await clients.activate(hot, 0)
  await clients.until(() => slotsOfHot().size === 3)
  // On one worker, so many requests take 5 s at least, however fast the machine is.
  const needed = clients.answers.length
  assert.ok(needed <= 5000 / BLOCK_MS, `${needed} requests`)
  t.diagnostic(`spread after ${needed} requests`)
  await clients.until(() => clients.answers.length >= needed + 600)
  assert.equal(slotsOfHot().size, 3, 'they stay where they are')
  await clients.activate([], 0)
  await clients.askAll()
  assert.deepEqual([...clients.failures], [])
  assert.ok(clients.connections.every((connection) => !connection.ended))
  const { body } = await once(service.port, 'GET', '/metrics')
  assert.equal(parseMetrics(body).get('cluster_rebalanced_connections_total{worker="primary"}'), 2)
})
