import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startRedis } from '../helpers/redis.ts'
import { Deploys } from '../helpers/releases.ts'
import { muster, startService } from '../helpers/service.ts'
import { allHosts, assertOneByOne, readyIn, reloadAll } from '../helpers/turns-taken.ts'
import '../helpers/takes-long.ts'
import { until } from '../helpers/until.ts'

const READ = 'read-token-read-token-read-token-read-token'

test('services that share a Redis see each other, reload one after another, and stop at a bad release', async (t) => {
  const { url, client } = await startRedis(t)
  const deploys = new Deploys(t)
  deploys.deploy('1.0.0')
  const env = {
    REDIS_URL: url,
    APP: deploys.app,
    ROLLOUT_LEASE: '1',
    HOST_HEARTBEAT: '500',
    ADMIN_READ_TOKEN: READ
  }
  const services = await Promise.all([1, 2, 3].map(() => startService(t, { workers: 1, env })))
  const [a, b] = services as [(typeof services)[0], (typeof services)[0]]
  const seen = await allHosts(a, (answer) => answer.hosts.length === 3 && readyIn(answer) === 3)
  assert.equal(new Set(seen.hosts.map(({ id }) => id)).size, 3, 'each has an id of its own')
  assert.deepEqual([...new Set(seen.hosts.map(({ release }) => release.split('-')[0]))], ['1.0.0'])
  const headers = { authorization: `Bearer ${READ}` }
  const overHttp = async () => {
    const answer = await fetch(`${b.url}/admin/status?allHosts=true`, { headers })
    return ((await answer.json()) as { hosts: unknown[] }).hosts.length
  }
  await until(async () => (await overHttp()) === 3, 'the three hosts over HTTP')
  const stored = JSON.stringify(await client.hgetall('muster:hosts'))
  for (const secret of [READ, url, deploys.app])
    assert.ok(!stored.includes(secret), 'a host announces no secret and no path')

  deploys.deploy('1.0.1')
  assert.deepEqual(
    (await reloadAll(services)).map(({ msg }) => msg),
    ['rollout done', 'rollout done', 'rollout done']
  )
  assertOneByOne(services)

  deploys.deploy('1.0.2', 'throw new Error("a bad release")')
  const ends = await reloadAll(services)
  assert.deepEqual(ends.map(({ msg }) => msg).sort(), ['rollout failed', 'rollout refused', 'rollout refused'])
  const refusing = services[ends.findIndex(({ msg }) => msg === 'rollout refused')]!
  const { code, stdout } = await muster(refusing, 'reload', '--json')
  assert.equal(code, 1)
  assert.match(
    (JSON.parse(stdout) as { result: { why: string } }).result.why,
    /^release 1\.0\.2-\w+ failed on \S+ at \S+ \(.*a bad release/
  )
  assert.match((await muster(refusing, 'status')).stdout, /last reload: refused in/)
  assert.equal((await muster(refusing, 'reload', '--force')).code, 1, 'it fails by itself this time')
  assert.equal((await refusing.line(({ msg }) => msg === 'rollout failed')).why !== undefined, true)

  deploys.deploy('1.0.3')
  assert.equal((await muster(refusing, 'reload')).code, 0)
  assert.equal((await refusing.stop()).code, 0)
  const others = services.filter((service) => service !== refusing)
  await allHosts(others[0]!, ({ hosts }) => hosts.length === 2)
})

test('a service without a shared Redis has a list of one host, with the reason, and ignores ROLLOUT_LEASE', async (t) => {
  const service = await startService(t, { workers: 1, env: { ROLLOUT_LEASE: '1' } })
  await service.line(({ msg }) => msg === 'ROLLOUT_LEASE has no effect')
  const { stdout } = await muster(service, 'status', '--all-hosts')
  assert.match(stdout, /the embedded Redis is for this host alone: set REDIS_URL to share one/)
  assert.equal((await muster(service, 'reload')).code, 0)
})
