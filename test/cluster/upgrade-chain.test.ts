import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { once as ask } from '../helpers/http.ts'
import { fixture } from '../helpers/load.ts'
import { Scraper } from '../helpers/scraper.ts'
import { isAlive, muster, processesWith, type Service, startService } from '../helpers/service.ts'
import { SlowUpload } from '../helpers/slow-transfer.ts'
import { until } from '../helpers/until.ts'
import { primaryOf, redisOf, stopUpgraded } from '../helpers/upgrades.ts'
import '../helpers/takes-long.ts'

/** A primary, its worker, its reaper, and Redis. */
const PROCESSES = 4

/** Upgrades a service twice while a worker of the first primary has an upload. */
async function upgradeTwice(t: TestContext, env: Record<string, string> = {}) {
  const service = await startService(t, {
    workers: 1,
    env: { APP: fixture('linger'), CANARY_TIME: '100', REQUEST_TIMEOUT: '600000', ...env }
  })
  const upload = await SlowUpload.begin(t, service.port)
  const primaries = [primaryOf(service)]
  for (let i = 0; i < 2; i++) {
    const { code, stdout, stderr } = await muster(service, 'upgrade')
    assert.equal(code, 0, `${stdout}\n${stderr}\n${service.tail()}`)
    primaries.push(primaryOf(service))
  }
  assert.equal(new Set(primaries).size, 3)
  return { service, upload, primaries: primaries as [first: number, second: number, third: number] }
}

const left = (service: Service) => processesWith(service.runDir).filter((pid) => isAlive(pid))

test('a request may outlive several upgrades: it ends at its worker, and its connection moves on to the newest primary', async (t) => {
  const { service, upload, primaries } = await upgradeTwice(t)
  const redis = redisOf(service)
  const scraper = await Scraper.start(t, service.port)
  assert.ok(primaries.every(isAlive), 'the second primary waits for the first')
  assert.match(
    (await muster(service, 'status')).stdout,
    /the old primary waits for its last workers;\s+old primary: pid/
  )
  const before = (await scraper.next()).get('cluster_workers{status="draining",worker="primary"}')
  assert.equal(before, 1, 'the worker of the first primary is counted')
  assert.equal((await upload.complete()).generation, 1)
  const { body } = await upload.connection.request('GET', '/who')
  assert.equal(JSON.parse(body).generation, 3)
  await until(() => left(service).length === PROCESSES, 'the end of both old primaries', 60_000)
  await scraper.next()
  assert.equal(primaryOf(service), primaries[2])
  assert.equal(redisOf(service), redis)
  assert.doesNotMatch((await muster(service, 'status')).stdout, /upgrade/)
  await stopUpgraded(service)
})

test('a stop ends old primaries as well, after DRAIN_TIMEOUT', async (t) => {
  const { service } = await upgradeTwice(t, { DRAIN_TIMEOUT: '1000' })
  await stopUpgraded(service)
})

test('a second signal ends old primaries as well, at once', async (t) => {
  const { service, primaries } = await upgradeTwice(t, { DRAIN_TIMEOUT: '600000' })
  process.kill(primaries[2], 'SIGQUIT')
  await until(() => left(service).length === 0, 'the end of all processes', 60_000)
})

test('an old primary whose successor was replaced itself, and is killed, does not take the service back', async (t) => {
  const { service, primaries } = await upgradeTwice(t, { DRAIN_TIMEOUT: '1000' })
  process.kill(primaries[1], 'SIGKILL')
  await until(() => left(service).length === PROCESSES, 'the end of the old primaries', 60_000).catch(() =>
    assert.fail(service.tail())
  )
  assert.equal(primaryOf(service), primaries[2])
  assert.equal(JSON.parse((await ask(service.port, 'GET', '/who')).body).generation, 3)
  await stopUpgraded(service)
})
