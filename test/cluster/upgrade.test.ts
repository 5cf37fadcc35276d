import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cleanup } from '../helpers/cleanup.ts'
import { areExact, Hits } from '../helpers/hits.ts'
import { LastingClients } from '../helpers/lasting-clients.ts'
import { fixture, Load } from '../helpers/load.ts'
import { Scraper } from '../helpers/scraper.ts'
import { muster, startService } from '../helpers/service.ts'
import { primaryOf, redisOf, stopUpgraded, upgrade } from '../helpers/upgrades.ts'
import '../helpers/takes-long.ts'

test('an upgrade fails no request, closes no connection, and loses no event or message', async (t) => {
  const service = await startService(t, { workers: 3, env: { APP: fixture('lasting'), CANARY_TIME: '100' } })
  const load = new Load(t, service.port, { tight: 2, fresh: 2, slow: 3, pipelined: 1, idle: 10 })
  const mix = { busySockets: 10, quietSockets: 10, streams: 10, transfers: 0 }
  const clients = await LastingClients.start(t, service.port, mix, { transferSeconds: 1 })
  for (let i = 0; i < 2; i++) await upgrade(service)
  await Promise.all([load.stop(), clients.stop()])
  assert.deepEqual([...load.failures], [])
  assert.equal(load.reopened, 0, 'a connection was closed that could have stayed open')
  assert.deepEqual([...clients.noticed], [])
  assert.ok(clients.pids.size > 3, 'sockets have changed their workers')
  await stopUpgraded(service)
})

test('through an upgrade hits are exact, metrics never fall, and Redis is the same process', async (t) => {
  const service = await startService(t, { workers: 2, env: { CANARY_TIME: '100' } })
  const redis = redisOf(service)
  const hits = new Hits(service.port)
  cleanup(t, () => hits.stop())
  const scraper = await Scraper.start(t, service.port)
  for (let i = 0; i < 2; i++) {
    await hits.more(50)
    await upgrade(service)
  }
  await hits.more(50)
  const series = await scraper.next()
  await Promise.all([hits.stop(), scraper.stop()])
  assert.deepEqual([...hits.errors], [])
  assert.ok(areExact(hits.numbers))
  assert.equal(redisOf(service), redis)
  assert.equal(series.get('cluster_generation{worker="primary"}'), 3)
  await stopUpgraded(service)
})

test('an upgrade carries over the number of workers and the log level', async (t) => {
  const service = await startService(t, { workers: 1, env: { CANARY_TIME: '100' } })
  assert.equal((await muster(service, 'scale', '2')).code, 0)
  assert.equal((await muster(service, 'log-level', 'warn')).code, 0)
  const old = primaryOf(service)
  const outcome = await upgrade(service)
  assert.equal(outcome.pid, primaryOf(service))
  const status = JSON.parse((await muster(service, 'status', '--json')).stdout).result
  assert.equal(status.desired, 2)
  assert.equal(status.state, 'running')
  assert.equal(status.pid, primaryOf(service))
  assert.notEqual(status.pid, old)
  assert.equal(status.generation, 2)
  assert.match((await muster(service, 'settings', 'get', 'logLevel')).stdout, /warn/)
  await stopUpgraded(service)
})
