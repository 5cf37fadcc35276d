import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SessionView } from '../../src/ipc/messages.ts'
import { fixture } from '../helpers/load.ts'
import { RedisProxy } from '../helpers/proxy.ts'
import { startRedis } from '../helpers/redis.ts'
import { muster, type Service, startService } from '../helpers/service.ts'
import '../helpers/takes-long.ts'

/** @returns the cookie */
async function signIn(service: Service, name: string): Promise<string> {
  const answer = await fetch(`${service.url}/session`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name })
  })
  assert.equal(answer.status, 200)
  return answer.headers.get('set-cookie')!.split(';')[0]!
}

async function nameOf(service: Service, cookie: string): Promise<string | null> {
  const answer = await fetch(`${service.url}/session`, { headers: { cookie } })
  return ((await answer.json()) as { name: string | null }).name
}

test('sessions of a user are listed and ended from any host that shares the Redis', async (t) => {
  const { url } = await startRedis(t)
  const env = { REDIS_URL: url }
  const [here, there] = await Promise.all([startService(t, { env }), startService(t, { env, workers: 1 })])
  assert.deepEqual(await muster(there, 'sessions', 'list', 'ada'), { code: 0, stdout: 'none\n', stderr: '' })
  const cookies = [await signIn(here, 'ada'), await signIn(here, 'ada'), await signIn(there, 'ada')]

  assert.match(
    (await muster(there, 'sessions', 'list', 'ada')).stdout,
    /^handle +created +idle left\n\w{12} +\d\d:\d\d:\d\d +\d+ m/
  )
  const { stdout } = await muster(there, 'sessions', 'list', 'ada', '--json')
  const { ok, result } = JSON.parse(stdout) as { ok: boolean; result: SessionView[] }
  assert.equal(ok, true)
  assert.equal(result.length, 3)

  const one = await muster(there, 'sessions', 'end', 'ada', result[0]!.handle)
  assert.deepEqual(one, { code: 0, stdout: 'ended  1\n', stderr: '' })
  const names = await Promise.all(cookies.map((cookie) => nameOf(here, cookie)))
  assert.deepEqual(names.sort(), ['ada', 'ada', null])
  assert.equal((await muster(here, 'sessions', 'end', 'ada')).stdout, 'ended  2\n')
  for (const cookie of cookies) assert.equal(await nameOf(there, cookie), null)
})

test('a worker that does not answer is skipped', async (t) => {
  const { url } = await startRedis(t)
  const service = await startService(t, { env: { REDIS_URL: url } })
  await signIn(service, 'ada')
  for (const pid of service.workers().keys()) {
    process.kill(pid, 'SIGSTOP')
    const { stdout } = await muster(service, 'sessions', 'list', 'ada', '--json')
    process.kill(pid, 'SIGCONT')
    assert.equal((JSON.parse(stdout) as { result: SessionView[] }).result?.length, 1, stdout)
  }
})

test('sessions explains a missing user, an unknown command, no Redis and no worker', async (t) => {
  const redis = await startRedis(t)
  const proxy = await RedisProxy.start(t, redis.url)
  const service = await startService(t, { env: { REDIS_URL: proxy.url }, workers: 1 })
  const refused = await muster(service, 'sessions', 'end')
  assert.equal(refused.code, 2)
  assert.match(refused.stderr, /^muster: user: missing; must be the name of a user/)
  for (const words of [['sessions'], ['sessions', 'dance', 'ada']])
    assert.equal((await muster(service, ...words)).code, 2)

  await proxy.refuse()
  const away = await muster(service, 'sessions', 'list', 'ada')
  assert.deepEqual(away, { code: 1, stdout: '', stderr: 'muster: The shared state is not available at the moment\n' })

  const env = { REDIS_URL: redis.url, APP: fixture('never-ready') }
  const starting = await startService(t, { env, wait: false })
  await starting.line((line) => line.msg === 'worker started')
  assert.match((await muster(starting, 'sessions', 'list', 'ada')).stderr, /no worker is ready/)
})
