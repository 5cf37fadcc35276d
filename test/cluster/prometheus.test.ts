import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { fixture, Load } from '../helpers/load.ts'
import { missing } from '../helpers/programs.ts'
import { type Alert, Prometheus } from '../helpers/prometheus.ts'
import { startRedis } from '../helpers/redis.ts'
import { startService } from '../helpers/service.ts'
import { timed } from '../helpers/timed.ts'
import { until } from '../helpers/until.ts'
import '../helpers/takes-long.ts'

const ECHOES = 'http_request_duration_seconds_count{route="/echo",status_code="200"}'
const WINDOW_S = 120

const skip = missing('prometheus')

timed('Prometheus counts requests exactly over a reload', { skip }, async (t) => {
  const { url } = await startRedis(t)
  const service = await startService(t, { env: { REDIS_URL: url, APP: fixture('measured'), CANARY_TIME: '0' } })
  const prometheus = await Prometheus.start(t, service.port)
  assert.equal(await prometheus.value(`sum(${ECHOES})`), 0, 'from zero on')

  const first = new Load(t, service.port, { tight: 2, fresh: 1 })
  await first.until(500)
  assert.equal((await service.reload()).msg, 'rollout done')
  await first.stop()
  assert.deepEqual([...first.failures], [])
  await prometheus.scraped()
  assert.equal(await prometheus.value(`sum(${ECHOES})`), first.answered)
  assert.equal(await prometheus.value(`sum(resets(${ECHOES}[${WINDOW_S}s]))`), 0)

  const began = performance.now()
  const second = new Load(t, service.port, { tight: 2 })
  await second.until(500)
  await prometheus.scraped()
  const from = service.lines.length
  process.kill([...service.workers().keys()][0]!, 'SIGKILL')
  await service.line(({ msg }) => msg === 'worker ready', from)
  await second.stop()
  await prometheus.scraped()
  const perSecond = second.answered / ((performance.now() - began) / 1000)
  const answered = first.answered + second.answered
  const counted = await prometheus.value(`sum(${ECHOES})`)
  // Answers that were counted and then died with their connection, and a heartbeat, late on a busy machine.
  assert.ok(counted <= answered + 2, `${counted} counted, ${answered} answered`)
  assert.ok(counted >= answered - 1.5 * perSecond, `${counted} counted, ${answered} answered, ${perSecond} a second`)
  assert.equal(await prometheus.value(`sum(resets(${ECHOES}[${WINDOW_S}s]))`), 0)
  // increase() extrapolates to the ends of its window, by a second or two of all that it has samples of.
  const increase = await prometheus.value(`sum(increase(${ECHOES}[${WINDOW_S}s]))`)
  assert.ok(increase >= counted && increase < counted * 1.5, `${increase} for ${counted}`)
})

test('an alert links to its entry in the runbook, which Prometheus serves', { skip }, async (t) => {
  const { url } = await startRedis(t)
  const service = await startService(t, { env: { REDIS_URL: url } })
  const file = (path: string) => fileURLToPath(new URL(`../../../${path}`, import.meta.url))
  const rules = [file('deploy/prometheus/rules.yml')]
  const prometheus = await Prometheus.start(t, service.port, { rules, assets: file('docs/how-to') })
  assert.equal((await service.stop()).code, 0)
  let alerts: Alert[] = []
  await until(async () => {
    alerts = await prometheus.alerts()
    return alerts.length > 0
  }, 'an alert')
  const [alert] = alerts
  assert.equal(alert?.labels.alertname, 'MusterNoWorker')
  const link = new URL(alert.annotations.runbook_url ?? '')
  assert.equal(link.hash, '#musternoworker')
  const runbook = await fetch(link)
  assert.equal(runbook.status, 200)
  assert.match(await runbook.text(), /^## MusterNoWorker$/m)
})
