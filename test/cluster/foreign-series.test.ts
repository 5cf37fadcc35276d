import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { cleanup } from '../helpers/cleanup.ts'
import { missing } from '../helpers/programs.ts'
import { Prometheus } from '../helpers/prometheus.ts'
import { startService, temporaryFolder } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'
import '../helpers/takes-long.ts'

const RULES = fileURLToPath(new URL('../../../deploy/prometheus/rules.yml', import.meta.url))

/** Names that another service may use as well, with values that mean trouble in muster. */
const FOREIGN = `
cluster_workers{status="ready"} 0
cluster_workers_desired 4
cluster_workers_missing 2
cluster_state{state="degraded"} 1
cluster_quarantined_routes{state="quarantined"} 3
cluster_scaling_limited{limit="cpu"} 1
cluster_worker_event_loop_delay_seconds{slot="0"} 5
redis_up 0
process_resident_memory_bytes 5e9
tls_certificate_expiry_timestamp_seconds 1
`

async function startForeign(t: TestContext): Promise<number> {
  const server = createServer((_, response) => {
    response.setHeader('content-type', 'text/plain; version=0.0.4').end(FOREIGN)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanup(t, () => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

/** The same rules for the other service, under other names: they show that its series would trigger alerts. */
function rulesForForeign(t: TestContext): string {
  const file = join(temporaryFolder(t), 'foreign.yml')
  const rules = readFileSync(RULES, 'utf8')
  writeFileSync(
    file,
    rules
      .replaceAll('job="muster"', 'job="billing-api"')
      .replaceAll('muster:', 'foreign:')
      .replaceAll('alert: Muster', 'alert: Foreign')
      .replaceAll('- name: muster', '- name: foreign')
  )
  return file
}

const skip = missing('prometheus')

test('series of another service with the same names trigger no alert', { skip }, async (t) => {
  const [service, foreign] = await Promise.all([startService(t, { env: { REDIS: 'off' } }), startForeign(t)])
  const prometheus = await Prometheus.start(t, service.port, {
    rules: [RULES, rulesForForeign(t)],
    others: { 'billing-api': foreign }
  })
  let names: string[] = []
  await until(async () => {
    names = (await prometheus.alerts()).map(({ labels }) => labels.alertname!)
    return new Set(names).size >= 8
  }, 'the alerts of the rules for the other service')
  assert.deepEqual(
    names.filter((name) => !name.startsWith('Foreign')),
    []
  )
  // The rules of muster were computed from its own series meanwhile.
  assert.equal(await prometheus.value('sum(cluster_workers{job="muster", status="ready"})'), 2)
  await until(async () => (await prometheus.value('count(muster:http_requests:rate5m{job="muster"})')) === 1, 'a rule')
  assert.deepEqual(
    (await prometheus.alerts()).filter(({ labels }) => labels.job === 'muster'),
    []
  )
})
