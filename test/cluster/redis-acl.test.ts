import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Redis } from 'ioredis'
import { denied, documentedUser } from '../helpers/acl.ts'
import { once } from '../helpers/http.ts'
import { fixture } from '../helpers/load.ts'
import { RedisServer } from '../helpers/redis-server.ts'
import { muster, startService } from '../helpers/service.ts'
import '../helpers/uncounted.ts'
import '../helpers/takes-long.ts'

/** Commands that Redis was asked for since the last reset, those in scripts included. */
async function used({ client }: RedisServer): Promise<Set<string>> {
  const stats = await client.info('commandstats')
  return new Set([...stats.matchAll(/^cmdstat_([^:]+):/gm)].map(([, name = '']) => name))
}

/** Everything that the service does, once. */
async function useAll(port: number): Promise<void> {
  const expect = async (status: number, ...request: Parameters<typeof once>) => {
    const answer = await once(...request)
    assert.equal(answer.status, status, `${request[1]} ${request[2]}: ${answer.body}`)
    return answer
  }
  const first = await expect(200, port, 'GET', '/')
  const cookie = first.headers['set-cookie']!.split(';')[0]!
  for (let i = 0; i < 3; i++) await expect(200, port, 'GET', '/', { cookie, accept: 'text/html' })
  await expect(200, port, 'GET', '/visit', { cookie })
  await expect(200, port, 'POST', '/hits')
  await expect(200, port, 'GET', '/hits')
  await expect(200, port, 'GET', '/session', { cookie })
  const signIn = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"name":"ada"}' }
  const signedIn = await fetch(`http://127.0.0.1:${port}/session`, signIn)
  assert.equal(signedIn.status, 200)
  await expect(204, port, 'DELETE', '/session', { cookie: signedIn.headers.get('set-cookie')!.split(';')[0]! })
  await expect(200, port, 'GET', '/use-all')
  await expect(200, port, 'GET', '/readyz')
}

async function start(t: TestContext, beside?: Parameters<typeof documentedUser>[0], db = '') {
  const redis = await RedisServer.start(t, { user: documentedUser(beside) })
  await redis.client.config('RESETSTAT')
  const REDIS_URL = `redis://muster:secret@127.0.0.1:${redis.port}${db}`
  return {
    redis,
    service: await startService(t, { env: { REDIS_URL, APP: fixture('use-shared'), ROLLOUT_LEASE: '1' } })
  }
}

test('the documented ACL has the rights that the service needs, and no other command', async (t) => {
  const { redis, service } = await start(t)
  await useAll(service.port)
  assert.equal((await muster(service, 'reload')).code, 0)
  assert.doesNotMatch((await muster(service, 'status', '--all-hosts')).stdout, /hosts unknown/)
  await useAll(service.port)
  for (const args of [
    ['list', 'ada'],
    ['end', 'ada']
  ])
    assert.equal((await muster(service, 'sessions', ...args)).code, 0)
  assert.deepEqual(await denied(redis), [], 'docs/how-to/redis.md grants too little')
  const commands = await used(redis)
  const granted = documentedUser().match(/(?<=\+)\S+/g)!
  assert.deepEqual(
    granted.filter((name) => !commands.has(name)),
    [],
    'docs/how-to/redis.md grants too much'
  )
})

test('the documented ACL works in another database when it allows SELECT', async (t) => {
  const { redis, service } = await start(t, 'a database other than 0', '/3')
  await useAll(service.port)
  assert.deepEqual(await denied(redis), [])
  await redis.client.select(3)
  assert.equal(await redis.client.get('muster:hits'), '5')
})

test('the documented ACL allows nothing else', async (t) => {
  const redis = await RedisServer.start(t, { user: documentedUser() })
  const client = new Redis({ port: redis.port, username: 'muster', password: 'secret', enableReadyCheck: false })
  t.after(() => client.disconnect())
  const forbidden = [
    ['get', 'other'],
    ['set', 'other', '1'],
    ['eval', "return redis.call('set', 'other', '1')", '0'],
    ['eval', "return redis.call('flushall')", '0'],
    ['publish', 'other', '1'],
    ['flushall'],
    ['keys', '*'],
    ['config', 'get', '*'],
    ['acl', 'list']
  ] as const
  for (const [name, ...args] of forbidden) {
    await assert.rejects(client.call(name, ...args), /NOPERM|user executing the script|ACL failure/, `${name} ${args}`)
  }
})
