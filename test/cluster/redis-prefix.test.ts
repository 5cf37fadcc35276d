import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { denied, documentedUser } from '../helpers/acl.ts'
import { command, overHttp, TOKENS } from '../helpers/admin.ts'
import { fixture } from '../helpers/load.ts'
import { RedisServer } from '../helpers/redis-server.ts'
import { muster, type Service, startService } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'
import '../helpers/uncounted.ts'
import '../helpers/takes-long.ts'

/** A service whose Redis user has no right to any key or channel of another prefix. */
async function startAs(t: TestContext, redis: RedisServer, name: string): Promise<Service> {
  const [, ...rules] = documentedUser(undefined, `${name}:`).split(' ')
  await redis.client.call('acl', 'setuser', name, ...rules)
  return startService(t, {
    workers: 1,
    env: {
      REDIS_URL: `redis://${name}:secret@127.0.0.1:${redis.port}`,
      REDIS_PREFIX: `${name}:`,
      APP: fixture('two-services'),
      SIGN_IN_LIMIT: '1',
      RATE_WINDOW: '3600000',
      RATE_EXEMPT: '192.0.2.1',
      ...TOKENS
    }
  })
}

async function post(service: Service, path: string, body?: object) {
  const response = await fetch(`${service.url}${path}`, {
    method: 'POST',
    ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
  })
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

const counts = async (service: Service) =>
  (await (await fetch(`${service.url}/counts`)).json()) as { runs: number; heard: number }

test('two services with different values of REDIS_PREFIX share no key', async (t) => {
  const redis = await RedisServer.start(t)
  const [shop, blog] = [await startAs(t, redis, 'shop'), await startAs(t, redis, 'blog')]

  await t.test('hits and counters', async () => {
    for (const path of ['/hits', '/orders']) for (let i = 0; i < 3; i++) await post(shop, path)
    assert.deepEqual((await post(blog, '/hits')).body, { hits: 1 })
    assert.deepEqual(await post(blog, '/orders'), { status: 200, body: 1 })
    assert.equal(await redis.client.get('shop:hits'), '3')
    assert.equal(await redis.client.get('shop:counter:orders'), '3')
  })

  await t.test('the secret, sessions and the sessions of a user', async () => {
    assert.equal((await post(shop, '/session', { name: 'ada' })).status, 200)
    assert.match((await muster(shop, 'sessions', 'list', 'ada')).stdout, /[0-9a-f]{12}/)
    assert.doesNotMatch((await muster(blog, 'sessions', 'list', 'ada')).stdout, /[0-9a-f]{12}/)
    const secrets = await redis.client.mget('shop:session-secret', 'blog:session-secret')
    assert.ok(secrets[0] && secrets[1] && secrets[0] !== secrets[1], String(secrets))
  })

  await t.test('rate limits and wrong tokens', async () => {
    assert.equal((await post(shop, '/session', { name: 'ada' })).status, 429)
    assert.equal((await post(blog, '/session', { name: 'ada' })).status, 200)
    assert.equal((await overHttp(shop.url, 'ping', {}, 'wrong')).status, 401)
    assert.equal(await redis.client.get('shop:attempts:admin:all'), '1')
    assert.equal(await redis.client.get('blog:attempts:admin:all'), null)
  })

  await t.test('settings', async () => {
    await command(shop, 'settings-set', { key: 'banner', value: 'sale' })
    assert.equal((await command(shop, 'settings-get', { key: 'banner' })).body.result.values.banner, 'sale')
    assert.equal((await command(blog, 'settings-get', { key: 'banner' })).body.result.values.banner, '')
    assert.equal(await redis.client.exists('blog:settings'), 0)
  })

  await t.test('locks, what runs once, and what runs every period', async () => {
    assert.deepEqual((await post(shop, '/hold')).body, { held: true })
    assert.equal((await post(shop, '/hold')).status, 409)
    assert.deepEqual((await post(blog, '/hold')).body, { held: true })
    assert.deepEqual((await post(shop, '/once')).body, { ran: true })
    assert.deepEqual((await post(shop, '/once')).body, { ran: false })
    assert.deepEqual((await post(blog, '/once')).body, { ran: true })
    for (const service of [shop, blog]) await until(async () => (await counts(service)).runs === 1, 'a run')
  })

  await t.test('broadcasts', async () => {
    const { acks, missing, unanswered } = (await post(shop, '/broadcast')).body as Record<string, unknown[]>
    assert.deepEqual([acks?.length, missing, unanswered], [1, [], 0])
    assert.equal((await counts(shop)).heard, 1)
    assert.equal((await counts(blog)).heard, 0)
    assert.deepEqual((await command(blog, 'cache-clear')).body.result, { workers: 1, unanswered: 0 })
  })

  await t.test(
    'every key and channel begins with the prefix, and the documented user has a right to each',
    async () => {
      for (const key of await redis.client.keys('*')) assert.match(key, /^\{?(shop|blog):/)
      for (const channel of (await redis.client.pubsub('CHANNELS')) as string[]) assert.match(channel, /^(shop|blog):/)
      assert.deepEqual(await denied(redis), [])
    }
  )
})
