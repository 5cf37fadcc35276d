import assert from 'node:assert/strict'
import { Connection } from '../helpers/http.ts'
import { fixture, Load } from '../helpers/load.ts'
import { startRedis } from '../helpers/redis.ts'
import { Scraper } from '../helpers/scraper.ts'
import { startService } from '../helpers/service.ts'
import { timed } from '../helpers/timed.ts'
import { until } from '../helpers/until.ts'
import '../helpers/takes-long.ts'

timed('/metrics stays fast and correct beside a hung worker, and counters never decrease', async (t) => {
  const { url } = await startRedis(t)
  // A worker is stopped and then blocked: two long turns in a row, which are no overload here.
  const env = { REDIS_URL: url, APP: fixture('measured'), CANARY_TIME: '0', MAX_LOOP_DELAY: '0' }
  const service = await startService(t, { env })
  const load = new Load(t, service.port, { tight: 2, fresh: 1 })
  const scraper = await Scraper.start(t, service.port)
  const total = (name: string, of: RegExp) =>
    [...scraper.series].reduce((sum, [key, value]) => sum + (key.startsWith(`${name}{`) && of.test(key) ? value : 0), 0)
  /** The process of another slot than the one that the scraper is at. */
  const other = async () => {
    const { slot } = await scraper.self()
    return [...service.workers()].find(([, worker]) => worker.slot !== slot)!
  }

  for (let i = 0; i < 3; i++) assert.equal((await service.reload()).msg, 'rollout done')
  const page = await scraper.next()
  assert.equal(page.get('cluster_reloads_total{outcome="done",worker="primary"}'), 3)
  assert.equal(page.get('cluster_reload_duration_seconds_count{worker="primary"}'), 3)

  const [stopped, { slot }] = await other()
  process.kill(stopped, 'SIGSTOP')
  await scraper.next()
  assert.equal(scraper.series.get('cluster_workers_missing{worker="primary"}'), 1)
  assert.equal(scraper.series.get(`cluster_worker_up{slot="${slot}",worker="primary"}`), 0)
  assert.ok(!scraper.series.has(`process_resident_memory_bytes{worker="${slot}"}`))
  assert.ok(scraper.series.has(`orders_total{worker="${slot}"}`))
  process.kill(stopped, 'SIGCONT')
  await until(() => scraper.series.get('cluster_workers_missing{worker="primary"}') === 0, 'all answer')

  let blocking: Connection
  do blocking = await Connection.open(service.port)
  while (JSON.parse((await blocking.request('GET', '/self')).body).slot === (await scraper.self()).slot)
  const blocked = blocking.request('GET', '/block?ms=2500')
  await until(() => scraper.series.get('cluster_workers_missing{worker="primary"}') === 1, 'it is missing')
  assert.equal((await blocked).status, 200)
  blocking.close()

  // Until here nothing is lost: everything that was answered is counted.
  await load.stop()
  assert.deepEqual([...load.failures], [])
  await scraper.next()
  assert.equal(total('http_request_duration_seconds_count', /route="\/echo",status_code="200"/), load.answered)
  assert.equal(total('orders_total', /./), load.answered)
  new Load(t, service.port, { tight: 2 })

  const from = service.lines.length
  process.kill((await other())[0], 'SIGKILL')
  await service.line(({ msg }) => msg === 'worker ready', from)
  await scraper.next()
  await scraper.stop()
  assert.deepEqual(scraper.faults, [])
  assert.ok(scraper.slowestMs < 1300, `${scraper.slowestMs} ms`)
  assert.ok(scraper.scrapes > 30, `${scraper.scrapes} scrapes`)
})
