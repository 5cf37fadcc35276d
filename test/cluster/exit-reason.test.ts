import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Connection, once } from '../helpers/http.ts'
import { fixture, Load } from '../helpers/load.ts'
import { startRedis } from '../helpers/redis.ts'
import { isAlive, processesWith, type Service, START, startService, temporaryFolder } from '../helpers/service.ts'
import { timed, unhinderedMs } from '../helpers/timed.ts'
import { until } from '../helpers/until.ts'
import '../helpers/takes-long.ts'

const KILLS = 2

const inFlight = (service: Service, count: number, ms = 700) =>
  Array.from({ length: count }, (_, id) => once(service.port, 'GET', `/slow?ms=${ms}&id=${id}`))

/** Requests are in flight when a worker has them all. */
async function untilServed(service: Service, requests: number): Promise<void> {
  const probe = await Connection.open(service.port)
  for (;;) {
    const { body } = await probe.request('GET', '/in-flight')
    if ((JSON.parse(body) as { requests: number }).requests >= requests) break
  }
  probe.close()
}

for (const workers of [1, 3]) {
  test(`kill -9 of a worker of ${workers}: the worker is replaced and the port never refuses`, async (t) => {
    const { url } = await startRedis(t)
    const service = await startService(t, { env: { REDIS_URL: url, APP: fixture('slow') }, workers })
    const load = new Load(t, service.port, { fresh: 3 })
    for (let i = 0; i < KILLS; i++) {
      const from = service.lines.length
      const [pid, { slot }] = [...service.workers()][0]!
      process.kill(pid, 'SIGKILL')
      const gone = await service.line((line) => line.msg === 'worker exited' && line.worker === pid, from)
      const ready = await service.line((line) => line.msg === 'worker ready' && line.slot === slot, from)
      assert.match(String(gone.why), /^SIGKILL, not sent by this primary/)
      t.diagnostic(`ready again ${Number(ready.time) - Number(gone.time)} ms after the death`)
    }
    await load.stop()
    // Only requests inside the killed worker may fail: no connection is refused and no client hangs.
    const kinds = [...load.failures.keys()].filter(
      (kind) => !/ECONNRESET|closed|the server ended the connection/.test(kind)
    )
    assert.deepEqual(kinds, [])
    assert.ok([...load.failures.values()].reduce((sum, count) => sum + count, 0) <= KILLS * 3)
  })
}

test('connections that a dying worker never accepted go to another worker', async (t) => {
  const { url } = await startRedis(t)
  const service = await startService(t, { env: { REDIS_URL: url, APP: fixture('slow') }, workers: 2 })
  const [stopped] = [...service.workers().keys()]
  process.kill(stopped!, 'SIGSTOP')
  // Some of these are given to the stopped worker, which never says that it has them.
  const requests = Array.from({ length: 10 }, (_, id) => once(service.port, 'GET', `/echo?id=${id}`))
  await Promise.any(requests)
  process.kill(stopped!, 'SIGKILL')
  for (const { status } of await Promise.all(requests)) assert.equal(status, 200)
})

timed('when the primary dies, requests in flight are answered and nothing is left after 4 s', async (t) => {
  const service = await startService(t, { env: { APP: fixture('slow') } })
  const answers = inFlight(service, 20)
  const idle = await Connection.open(service.port)
  await idle.request('GET', '/echo?id=idle')
  await untilServed(service, 20)
  const killedAt = unhinderedMs()
  process.kill(service.pid, 'SIGKILL')
  for (const { status } of await Promise.all(answers)) assert.equal(status, 200)
  // Its log pipe is closed when the last process of the service has gone, Redis and the watchdog included.
  await service.exited
  while (processesWith(service.runDir).length > 0) await new Promise((resolve) => setImmediate(resolve))
  const took = unhinderedMs() - killedAt
  assert.ok(took < 4000, `${Math.round(took)} ms`)
  await assert.rejects(once(service.port, 'GET', '/echo?id=1'), /ECONNREFUSED/)
})

test('when the primary dies, a worker in an endless loop is ended too', async (t) => {
  const service = await startService(t, { env: { APP: fixture('block-loop') }, workers: 2 })
  once(service.port, 'GET', '/block').catch(() => {})
  const { pid } = await service.line((line) => line.msg === 'blocking')
  process.kill(service.pid, 'SIGKILL')
  await service.exited
  // Its end of the log is closed a moment before it has gone.
  await until(() => !isAlive(pid!), 'the end of the worker in the loop')
})

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal} to the whole process group: all 20 requests in flight are answered, exit code 0`, async (t) => {
    const { url } = await startRedis(t)
    const service = await startService(t, { env: { REDIS_URL: url, APP: fixture('slow') } })
    const answers = inFlight(service, 20)
    await untilServed(service, 20)
    process.kill(-service.pid, signal)
    for (const { status } of await Promise.all(answers)) assert.equal(status, 200)
    assert.deepEqual(await service.exited, { code: 0, signal: null })
  })

  test(`${signal} to the process group of npm start, which forwards it: all 20 are answered, exit code 0`, async (t) => {
    const { url } = await startRedis(t)
    const project = temporaryFolder(t)
    const start = `exec ${START}`
    writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'app', version: '1.0.0', scripts: { start } }))
    const env = { REDIS_URL: url, APP: fixture('slow') }
    const service = await startService(t, { env, command: `npm --prefix '${project}' --silent start` })
    const answers = inFlight(service, 20)
    await untilServed(service, 20)
    process.kill(-service.pid, signal)
    for (const { status } of await Promise.all(answers)) assert.equal(status, 200)
    assert.deepEqual(await service.exited, { code: 0, signal: null })
    assert.equal(service.lines.filter(({ msg }) => msg.startsWith('draining')).length, 1)
  })
}

test('a second signal, another signal and SIGQUIT cut connections at once, exit code 1', async (t) => {
  const { url } = await startRedis(t)
  for (const signals of [['SIGTERM', 'SIGTERM'], ['SIGTERM', 'SIGINT'], ['SIGQUIT']] as const) {
    const service = await startService(t, { env: { REDIS_URL: url, APP: fixture('slow') } })
    const hanging = assert.rejects(once(service.port, 'GET', '/slow?ms=60000&id=1'))
    await untilServed(service, 1)
    for (const signal of signals) {
      const from = service.lines.length
      service.child.kill(signal)
      await service.line((line) => /draining|service ended/.test(line.msg), from)
      // The same signal within half a second is the one that npm forwards.
      if (signals[1] === signal) await sleep(600)
    }
    assert.deepEqual(await service.exited, { code: 1, signal: null })
    await hanging
  }
})
