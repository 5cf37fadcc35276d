import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { FastifyPluginAsync } from 'fastify'
import { countVisit, readVisits } from '../../src/http/plugins/session/visits.ts'
import { counterKey } from '../../src/state/sessions/session-visits.ts'
import { commandsDuring, sessionKey, startApp, Visitor } from '../helpers/app.ts'

const routes: FastifyPluginAsync = async (scope) => {
  scope.post('/begin', async (request) => {
    request.session.name = 'ada'
    return 'ok'
  })
  const config = { countsVisit: true } as const
  scope.get('/visit', { config }, async (request) => ({ visits: await countVisit(request) }))
  scope.get('/twice', { config }, async (request) => [await countVisit(request), await countVisit(request)])
  scope.get('/refused', { config, preHandler: async (_, reply) => reply.code(403).send('no') }, async () => 'never')
  scope.get('/later', async (request) => ({ visits: await countVisit(request) }))
  scope.get('/visits', async (request) => ({ visits: await readVisits(request) }))
}

async function startVisits(t: TestContext) {
  const started = await startApp(t, { routes })
  const visitor = new Visitor(started.app)
  await visitor.post('/begin')
  return { ...started, visitor, counter: counterKey(sessionKey(visitor.sessionId)) }
}

test('a route that counts visits reads the session and counts in one command', async (t) => {
  const { redis, visitor } = await startVisits(t)
  await visitor.get('/visit')
  const commands = await commandsDuring(redis, async () => {
    assert.deepEqual((await visitor.get('/visit')).json(), { visits: 2 })
  })
  const { evalsha, getex, incr, exists, pexpire } = commands
  assert.deepEqual(
    { evalsha, getex, incr, exists, pexpire },
    { evalsha: 1, getex: 1, incr: 1, exists: undefined, pexpire: undefined }
  )
})

test('visits counted in either way are one count, also when requests are concurrent', async (t) => {
  const { visitor } = await startVisits(t)
  const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => visitor.get(i % 2 ? '/visit' : '/later')))
  const seen = answers.map((answer) => answer.json().visits as number).sort((a, b) => a - b)
  assert.deepEqual(
    seen,
    Array.from({ length: 40 }, (_, i) => i + 1)
  )
  assert.deepEqual((await visitor.get('/twice')).json(), [41, 42])
  assert.deepEqual((await visitor.get('/visits')).json(), { visits: 42 })
})

test('a request that a later hook refuses has counted its visit', async (t) => {
  const { visitor } = await startVisits(t)
  assert.equal((await visitor.get('/refused')).statusCode, 403)
  assert.deepEqual((await visitor.get('/visits')).json(), { visits: 1 })
})

test('the counter of a session lives as long as the session may, and no counter begins without a session', async (t) => {
  const { app, redis, visitor, counter, config } = await startVisits(t)
  await visitor.get('/visit')
  const left = await redis.pttl(counter)
  assert.ok(left > config.session.maxAgeMs - 60_000 && left <= config.session.maxAgeMs, `${left} ms`)
  await redis.del(sessionKey(visitor.sessionId), counter)
  await new Visitor(app, visitor.cookie).get('/visit')
  assert.equal(await redis.exists(counter), 0)
})

test('a key that is no counter fails the handler that counts, and no other request', async (t) => {
  const { app, redis, visitor, counter } = await startVisits(t)
  const other = new Visitor(app)
  await other.post('/begin')
  await redis.lpush(counter, 'no counter')
  const [failed, refused, counted] = await Promise.all([
    visitor.get('/visit'),
    visitor.get('/refused'),
    other.get('/visit')
  ])
  assert.deepEqual([failed.statusCode, refused.statusCode, counted.json()], [503, 403, { visits: 1 }])
})
