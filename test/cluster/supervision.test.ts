import assert from 'node:assert/strict'
import { test } from 'node:test'
import { once } from '../helpers/http.ts'
import { fixture, Load } from '../helpers/load.ts'
import { startRedis } from '../helpers/redis.ts'
import { Deploys } from '../helpers/releases.ts'
import { muster, type Service, startService } from '../helpers/service.ts'

/** As pino numbers levels. */
const INFO = 30

const slotsOf = (service: Service) => [...service.workers().values()].map(({ slot }) => slot).sort()
const rolls = (service: Service) => service.lines.filter((line) => line.msg === 'rollout started').length

test('a SIGHUP during a rollout starts one more rollout afterwards', async (t) => {
  const { url } = await startRedis(t)
  const service = await startService(t, { env: { REDIS_URL: url } })
  const done = (generation: number) =>
    service.line((line) => line.msg === 'rollout done' && line.generation === generation)
  service.child.kill('SIGHUP')
  await service.line((line) => line.msg === 'rollout started')
  for (let i = 0; i < 3; i++) service.child.kill('SIGHUP')
  await done(2)
  await done(3)
  assert.equal((await muster(service, 'ping')).stdout, 'pong\n')
  assert.equal(rolls(service), 2)
})

test('SIGTTIN adds a worker and SIGTTOU removes one without losing a request', async (t) => {
  const { url } = await startRedis(t)
  const service = await startService(t, { env: { REDIS_URL: url, APP: fixture('slow') }, workers: 1 })
  const load = new Load(t, service.port, { tight: 2, fresh: 1, idle: 5 })
  service.child.kill('SIGTTIN')
  await service.line((line) => line.msg === 'worker ready' && line.slot === 1)
  assert.deepEqual(slotsOf(service), [0, 1])
  service.child.kill('SIGTTOU')
  await service.line((line) => line.msg === 'worker exited' && line.slot === 1)
  service.child.kill('SIGTTOU')
  await service.line((line) => /a number from 1/.test(line.msg))
  await load.stop()
  assert.deepEqual([...load.failures], [])
  assert.equal(load.reopened, 0)
})

test('every worker answers 503 on /readyz while the service drains', async (t) => {
  const { url } = await startRedis(t)
  const service = await startService(t, { env: { REDIS_URL: url, LAME_DUCK: '4000' } })
  const probes = () => Promise.all(Array.from({ length: 6 }, () => once(service.port, 'GET', '/readyz')))
  assert.deepEqual(
    (await probes()).map(({ status }) => status),
    Array(6).fill(200)
  )
  service.child.kill('SIGTERM')
  await service.line((line) => line.msg.startsWith('draining'))
  for (const { status, body, headers } of await probes()) {
    assert.equal(status, 503)
    assert.equal(headers.connection, 'close')
    assert.equal((JSON.parse(body) as { message: string }).message, 'The service is draining')
  }
  assert.equal((await once(service.port, 'POST', '/hits')).status, 200)
  assert.deepEqual(await service.exited, { code: 0, signal: null })
})

test('a stop while a worker starts is no error: the worker is not wanted any more', async (t) => {
  const { url } = await startRedis(t)
  const deploys = new Deploys(t)
  deploys.deploy('slow', 'await new Promise((resolve) => setTimeout(resolve, 60_000))')
  const service = await startService(t, { env: { REDIS_URL: url, APP: deploys.app }, workers: 1, wait: false })
  await service.line(({ msg }) => msg === 'worker started')
  service.child.kill('SIGTERM')
  assert.deepEqual(await service.exited, { code: 0, signal: null })
  const levels = ['worker killed', 'worker exited'].map((text) => service.lines.find(({ msg }) => msg === text)?.level)
  assert.deepEqual(levels, [INFO, INFO])
})

test('a crash loop is slowed down while the other workers serve', async (t) => {
  const { url } = await startRedis(t)
  const service = await startService(t, { env: { REDIS_URL: url, APP: fixture('slow') } })
  for (let i = 0; i < 6; i++) {
    const from = service.lines.length
    const pid = [...service.workers()].find(([, { slot }]) => slot === 1)![0]
    process.kill(pid, 'SIGKILL')
    await service.line((line) => line.msg === 'worker ready' && line.slot === 1, from)
    assert.equal((await once(service.port, 'GET', '/echo?id=1')).status, 200)
  }
  const times = (msg: string) =>
    service.lines.filter((line) => line.msg === msg && line.slot === 1).map((line) => Number(line.time))
  const starts = times('worker started').slice(1)
  const waits = times('worker exited').map((gone, i) => starts[i]! - gone)
  assert.ok(waits[5]! > 700, `the sixth replacement waits, ${waits[5]} ms`)
  assert.ok(waits[0]! < waits[5]! / 2, `the first replacement does not wait as the sixth does, ${waits[0]} ms`)
})
