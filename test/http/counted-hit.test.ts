import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { FastifyPluginAsync } from 'fastify'
import { countHit } from '../../src/http/plugins/session/counted-hit.ts'
import { countVisit } from '../../src/http/plugins/session/visits.ts'
import { type AppOptions, commandsDuring, sessionKey, startApp, Visitor } from '../helpers/app.ts'
import { RedisProxy } from '../helpers/proxy.ts'
import { startRedis } from '../helpers/redis.ts'

const routes: FastifyPluginAsync = async (scope) => {
  const config = { countsHit: true } as const
  scope.post('/begin', async (request) => {
    request.session.name = 'ada'
    return 'ok'
  })
  scope.get('/twice', { config }, async (request) => [await countHit(request), await countHit(request)])
  scope.get('/without-session', { config: { ...config, session: false } }, async (request) => countHit(request))
  scope.get('/once', { config }, async (request) => countHit(request))
  scope.get('/page', { config: { ...config, countsVisit: true } }, async (request) => [
    await countHit(request),
    await countVisit(request)
  ])
  scope.get('/later', async (request) => countHit(request))
  scope.get('/never', { config }, async () => 'not asked')
  scope.get('/refused', { config, preHandler: async (_, reply) => reply.code(403).send('no') }, async () => 'never')
}

async function startHits(t: TestContext, options: AppOptions = {}) {
  const started = await startApp(t, { routes, ...options })
  const visitor = new Visitor(started.app)
  await visitor.post('/begin')
  return { ...started, visitor, hits: started.app.shared.hits }
}

test('a hit that was counted with its session is returned once, and then another one is counted', async (t) => {
  const { visitor, hits } = await startHits(t)
  assert.deepEqual((await visitor.get('/twice')).json(), [1, 2])
  assert.equal(await hits.read(), 2)
})

test('a page reads its session and counts its visit and its hit in one command', async (t) => {
  const { redis, visitor } = await startHits(t)
  await visitor.get('/page')
  const commands = await commandsDuring(redis, async () => {
    assert.deepEqual((await visitor.get('/page')).json(), [2, 2])
  })
  const { evalsha, getex, incr, incrby, hset } = commands
  assert.deepEqual(
    { evalsha, getex, incr, incrby, hset },
    { evalsha: 1, getex: 1, incr: 1, incrby: 1, hset: undefined }
  )
})

test('hits of all visitors of a turn are counted in one command and measured as one batch', async (t) => {
  const { app, hits, redis, visitor } = await startHits(t)
  const sizes: number[] = []
  hits.onBatch = (size) => sizes.push(size)
  const visitors = [visitor, ...Array.from({ length: 9 }, () => new Visitor(app))]
  await Promise.all(visitors.map((one) => one.post('/begin')))
  const commands = await commandsDuring(redis, async () => {
    const answers = await Promise.all(visitors.map((one) => one.get('/page')))
    const numbers = answers.map((answer) => answer.json()[0] as number)
    assert.deepEqual(
      numbers.sort((a, b) => a - b),
      Array.from({ length: 10 }, (_, i) => i + 1)
    )
  })
  assert.equal(
    sizes.reduce((sum, size) => sum + size, 0),
    10
  )
  assert.equal(commands.incrby, sizes.length)
  assert.ok(sizes.length < 10, `${sizes}`)
})

test('hits counted in any way are one count, also when requests are concurrent', async (t) => {
  const { visitor } = await startHits(t)
  const paths = ['/twice', '/later', '/without-session']
  const answers = await Promise.all(Array.from({ length: 60 }, (_, i) => visitor.get(paths[i % 3]!)))
  const numbers = answers.flatMap((answer) => answer.json() as number[] | number).sort((a, b) => a - b)
  assert.deepEqual(
    numbers,
    Array.from({ length: 80 }, (_, i) => i + 1)
  )
})

test('a request has counted its hit before a later hook refuses it, and where its handler does not ask', async (t) => {
  const { visitor, hits } = await startHits(t)
  assert.equal((await visitor.get('/refused')).statusCode, 403)
  assert.equal((await visitor.get('/never')).statusCode, 200)
  assert.equal(await hits.read(), 2)
})

test('without Redis only a handler that asks for its hit fails', async (t) => {
  const { connection, visitor } = await startHits(t)
  connection.stop()
  const [asking, silent] = await Promise.all([visitor.get('/twice'), visitor.get('/never')])
  assert.deepEqual([asking.statusCode, silent.statusCode], [503, 200])
})

test('a session that has ended, or that cannot be read, does not change the number of its hit', async (t) => {
  const { hits, redis, visitor } = await startHits(t)
  await redis.set(sessionKey(visitor.sessionId), 'no session')
  assert.equal((await visitor.get('/once')).json(), 1)
  await redis.del(sessionKey(visitor.sessionId))
  assert.equal((await visitor.get('/once')).json(), 2)
  assert.equal(await hits.read(), 2)
})

test('a request whose answer of Redis was lost gets 503, and its hit is not counted again', async (t) => {
  const redis = await startRedis(t)
  const proxy = await RedisProxy.start(t, redis.url)
  const { visitor } = await startHits(t, { redis, url: proxy.url })
  proxy.loseAnswers(1, visitor.sessionId)
  const { statusCode, body } = await visitor.get('/once')
  assert.deepEqual([statusCode, JSON.parse(body).code], [503, 'STATE_UNAVAILABLE'])
  assert.equal(proxy.toLose, 0)
  assert.equal(await redis.client.get('muster:hits'), '1')
})

test('a counter at its highest number refuses the hit, and nothing is counted', async (t) => {
  const { redis, visitor } = await startHits(t)
  await redis.set('muster:hits', 9e15 - 1)
  assert.equal((await visitor.get('/once')).json(), 9e15)
  const refused = await visitor.get('/once')
  assert.deepEqual([refused.statusCode, refused.json().code], [500, 'COUNTER_EXHAUSTED'])
  assert.equal(await redis.get('muster:hits'), String(9e15))
})

test('a key that is no counter fails the handlers that ask for their hit, and no session', async (t) => {
  const { redis, visitor } = await startHits(t)
  await redis.lpush('muster:hits', 'no counter')
  const [asking, silent] = await Promise.all([visitor.get('/once'), visitor.get('/never')])
  assert.deepEqual([asking.statusCode, silent.statusCode], [503, 200])
})
