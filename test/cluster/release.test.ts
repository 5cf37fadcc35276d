import assert from 'node:assert/strict'
import { appendFileSync, copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { once } from '../helpers/http.ts'
import { fixture, Load } from '../helpers/load.ts'
import { startRedis } from '../helpers/redis.ts'
import { Deploys } from '../helpers/releases.ts'
import { muster, type Service, startService, temporaryFolder } from '../helpers/service.ts'
import '../helpers/uncounted.ts'
import '../helpers/takes-long.ts'

/** Which release each slot serves, asked until every slot has answered. */
async function released(service: Service, workers: number): Promise<string[]> {
  const found: string[] = []
  while (Object.keys(found).length < workers) {
    const { body } = await once(service.port, 'GET', '/release')
    const { release, slot } = JSON.parse(body) as { release: string; slot: number }
    found[slot] = release
  }
  return found
}

test('a failing release leaves every slot on the old one and fails no request', async (t) => {
  const { url } = await startRedis(t)
  const deploys = new Deploys(t)
  deploys.deploy('1.0.0')
  const service = await startService(t, {
    env: { REDIS_URL: url, APP: deploys.app, BOOT_TIMEOUT: '20000', CANARY_TIME: '300' },
    workers: 3
  })
  const before = [...service.workers().keys()]
  const load = new Load(t, service.port, { tight: 1, fresh: 1, idle: 5 })
  const bad = {
    'throws at boot': [`throw new Error('broken')`, /broken/],
    'exits at boot': ['process.exit(3)', /exit code 3/],
    'does not parse': ['} this is no JavaScript {', /Unexpected token|SyntaxError/],
    'hangs at boot': ['await new Promise(() => setInterval(() => {}, 1000))', /not ready in|did not start in time/],
    'boots in one slot and fails in the next': [`if (app.worker.slot === 1) throw new Error('slot 1')`, /slot 1/],
    'boots in two slots and exits in the last': ['if (app.worker.slot === 2) process.exit(4)', /exit code 4/]
  } as const
  for (const [name, [body, why]] of Object.entries(bad)) {
    deploys.deploy(name.replaceAll(' ', '-'), body)
    const outcome = await service.reload()
    assert.equal(outcome.msg, 'rollout failed', name)
    assert.match(String(outcome.why), why, name)
    if (name.endsWith('at boot')) assert.deepEqual([...service.workers().keys()], before, 'no old worker was replaced')
    assert.deepEqual(await released(service, 3), ['1.0.0', '1.0.0', '1.0.0'], name)
  }
  // The bad release is what is current on disk; a worker that crashes now still gets the good one.
  const from = service.lines.length
  const [pid] = [...service.workers()].find(([, { slot }]) => slot === 1)!
  await load.stop()
  process.kill(pid, 'SIGKILL')
  await service.line((line) => line.msg === 'worker ready' && line.slot === 1, from)
  assert.deepEqual(await released(service, 3), ['1.0.0', '1.0.0', '1.0.0'])

  deploys.deploy('2.0.0')
  const outcome = await service.reload()
  assert.equal(outcome.msg, 'rollout done')
  assert.match(`${outcome.from} ${outcome.to}`, /^1\.0\.0-[0-9a-f]{8} 2\.0\.0-[0-9a-f]{8}$/)
  assert.deepEqual(await released(service, 3), ['2.0.0', '2.0.0', '2.0.0'])
  assert.deepEqual([...load.failures], [])
  assert.equal(load.reopened, 0)
})

test('a release whose first worker dies after it was ready replaces no worker', async (t) => {
  const { url } = await startRedis(t)
  const deploys = new Deploys(t)
  deploys.deploy('1.0.0')
  const service = await startService(t, { env: { REDIS_URL: url, APP: deploys.app, CANARY_TIME: '3000' } })
  const before = [...service.workers().keys()]
  deploys.deploy('dies', `app.addHook('onReady', async () => void setTimeout(() => process.exit(9), 100))`)
  const outcome = await service.reload()
  assert.equal(outcome.msg, 'rollout failed')
  assert.match(String(outcome.why), /did not last \(exit code 9\)|ended before it was ready \(exit code 9\)/)
  assert.deepEqual([...service.workers().keys()], before)
})

test('without the old release on disk there is no rollback, and the log says so', async (t) => {
  const { url } = await startRedis(t)
  const deploys = new Deploys(t)
  deploys.deploy('1.0.0')
  const service = await startService(t, { env: { REDIS_URL: url, APP: deploys.app, CANARY_TIME: '0' } })
  deploys.deploy('bad', 'if (app.worker.slot === 1) process.exit(4)')
  deploys.remove('1.0.0')
  const outcome = await service.reload()
  assert.equal(outcome.msg, 'rollout failed')
  assert.match(String(outcome.why), /exit code 4.*no longer on disk: slot 0 stays on the new one/)
  assert.ok(
    service.lines.some(({ msg, release }) => msg === 'release missing' && /^1\.0\.0-\w+$/.test(String(release)))
  )
  assert.deepEqual(await released(service, 2), ['bad', '1.0.0'], 'who serves is left alone')
  deploys.deploy('2.0.0')
  assert.equal((await service.reload()).msg, 'rollout done')
  assert.deepEqual(await released(service, 2), ['2.0.0', '2.0.0'])
})

test('a worker that dies during a copy of new code never runs a partial copy', async (t) => {
  const { url } = await startRedis(t)
  const app = join(temporaryFolder(t), 'app.mjs')
  copyFileSync(fixture('plain'), app)
  const service = await startService(t, { env: { REDIS_URL: url, APP: app } })
  appendFileSync(app, '// another release\n')
  const from = service.lines.length
  const [pid] = [...service.workers()].find(([, { slot }]) => slot === 1)!
  process.kill(pid, 'SIGKILL')
  const said = await service.line(({ msg }) => msg === 'release missing', from)
  const next = await service.line(({ msg, slot }) => msg === 'worker started' && slot === 1, from)
  assert.ok(Number(next.time) - Number(said.time) >= 900, 'it waits until the code has been the same for a while')
  await service.line(({ msg, slot }) => msg === 'worker ready' && slot === 1, from)
})

test('a reload to a missing release fails at once', async (t) => {
  const { url } = await startRedis(t)
  const deploys = new Deploys(t)
  deploys.deploy('1.0.0')
  const service = await startService(t, { env: { REDIS_URL: url, APP: deploys.app }, workers: 1 })
  deploys.deploy('gone')
  deploys.remove('gone')
  const { code, stdout } = await muster(service, 'reload', '--json')
  assert.equal(code, 1)
  const answer = JSON.parse(stdout) as { ok: boolean; result: { outcome: string; why: string } }
  assert.equal(answer.ok, false)
  assert.equal(answer.result.outcome, 'failed')
  assert.match(answer.result.why, /the release cannot be read: ENOENT/)
  assert.deepEqual(await released(service, 1), ['1.0.0'])
})
