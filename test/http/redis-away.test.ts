import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance, FastifyPluginAsync, LightMyRequestResponse } from 'fastify'
import type { HttpError } from '../../src/common/errors.ts'
import { startApp, type TestApp, Visitor } from '../helpers/app.ts'
import { routesWithOwnCommand } from '../helpers/own-command.ts'
import { RedisProxy } from '../helpers/proxy.ts'
import { startRedis } from '../helpers/redis.ts'
import { stopwatch, timed } from '../helpers/timed.ts'
import { until } from '../helpers/until.ts'

const REDIS_TIMEOUT = 300
const MARGIN = 100
const BACK_WITHIN = 3000

interface Away extends TestApp {
  proxy: RedisProxy
  /** A visitor who already has a session. */
  known: Visitor
}

/** An app that reaches Redis through a proxy, and a visitor who is signed in. */
async function start(t: TestContext, routes = routesWithOwnCommand): Promise<Away> {
  const redis = await startRedis(t)
  const proxy = await RedisProxy.start(t, redis.url)
  const started = await startApp(t, { redis, url: proxy.url, routes, env: { REDIS_TIMEOUT: `${REDIS_TIMEOUT}` } })
  const known = new Visitor(started.app)
  await known.post('/session', { name: 'ada' })
  await known.get('/')
  return { ...started, proxy, known }
}

/** Requests that need Redis, from a visitor with a session and from one without. */
function everything({ app, known }: Away): (() => Promise<LightMyRequestResponse>)[] {
  const stranger = () => new Visitor(app)
  const again = () => new Visitor(app, known.cookie)
  return [
    () => stranger().get('/'),
    () => stranger().get('/', { accept: 'text/html' }),
    () => stranger().post('/hits'),
    () => stranger().get('/hits'),
    () => stranger().get('/own'),
    () => stranger().post('/session', { name: 'grace' }),
    () => again().get('/'),
    () => again().get('/session'),
    () => again().post('/session', { name: 'grace' }),
    () => again().delete('/session')
  ]
}

function assertUnavailable(response: LightMyRequestResponse): void {
  assert.equal(response.statusCode, 503, response.body)
  assert.equal(response.headers['retry-after'], '1')
  assert.deepEqual(response.json(), {
    statusCode: 503,
    code: 'STATE_UNAVAILABLE',
    error: 'Service Unavailable',
    message: 'The shared state is not available at the moment'
  })
  assert.equal(response.headers['set-cookie'], undefined, 'a cookie of a session that is not stored')
}

/** Sends all requests at once. @returns the duration of each answer in ms */
function timesOf(asks: (() => Promise<LightMyRequestResponse>)[]): Promise<number[]> {
  return Promise.all(
    asks.map(async (ask) => {
      const elapsed = stopwatch()
      assertUnavailable(await ask())
      return elapsed()
    })
  )
}

const ways: Record<string, { leave: (away: Away) => unknown; back: (away: Away) => unknown }> = {
  'refuses connections': { leave: ({ proxy }) => proxy.refuse(), back: ({ proxy }) => proxy.accept() },
  'does not answer any more': {
    leave: ({ server }) => process.kill(server.pid(), 'SIGSTOP'),
    back: ({ server }) => process.kill(server.pid(), 'SIGCONT')
  },
  'is behind a network that has gone silent': { leave: ({ proxy }) => proxy.hang(), back: ({ proxy }) => proxy.flow() }
}

for (const [how, { leave, back }] of Object.entries(ways)) {
  describe(`while Redis ${how}`, () => {
    timed('every answer is a clear 503 in time, from the first one on, and /livez is 200', async (t) => {
      const away = await start(t)
      const asks = everything(away)
      const rounds: number[][] = []
      for (let round = 0; round < 3; round++) {
        await leave(away)
        try {
          const first = await timesOf(asks)
          const later = await timesOf(asks)
          rounds.push([...first, ...later])
          assert.equal((await away.app.inject('/livez')).statusCode, 200)
          assert.equal((await away.app.inject('/metrics')).statusCode, 200)
          assert.equal((await away.app.inject('/nowhere')).statusCode, 404)
        } finally {
          await back(away)
        }
        await until(() => away.connection.up, 'Redis is up')
      }
      for (let i = 0; i < 2 * asks.length; i++) {
        // The best of three, because other processes share the cores.
        const best = Math.min(...rounds.map((times) => times[i]!))
        assert.ok(
          best < REDIS_TIMEOUT + MARGIN,
          `${best} ms, ${i < asks.length ? 'at first' : 'later'}: ${asks[i % asks.length]}`
        )
      }
    })

    timed(
      'a request does not wait for earlier ones: answers to a stream of requests are in time as well',
      async (t) => {
        const away = await start(t)
        const asks = everything(away)
        const rounds: number[][] = []
        for (let round = 0; round < 3; round++) {
          await leave(away)
          try {
            const answers: Promise<number[]>[] = []
            for (let i = 0; i < 3 * asks.length; i++) {
              answers.push(timesOf([asks[i % asks.length]!]))
              await sleep(REDIS_TIMEOUT / 100)
            }
            rounds.push((await Promise.all(answers)).flat())
          } finally {
            await back(away)
          }
          await until(() => away.connection.up, 'Redis is up')
        }
        const best = rounds[0]!.map((_, i) => Math.min(...rounds.map((times) => times[i]!)))
        assert.ok(Math.max(...best) < REDIS_TIMEOUT + MARGIN, `${best.map(Math.round)} ms`)
      }
    )

    timed(`service is back within ${BACK_WITHIN} ms of Redis being back, and nothing is forgotten`, async (t) => {
      const away = await start(t)
      await leave(away)
      await until(async () => (await away.app.inject('/hits')).statusCode === 503, 'a 503')
      // Long enough that the client rarely reconnects.
      const gone = performance.now()
      await until(() => performance.now() - gone > 2000, 'two seconds')
      await back(away)
      const elapsed = stopwatch()
      await until(async () => (await away.app.inject({ method: 'POST', url: '/hits' })).statusCode === 200, 'a 200')
      const ms = elapsed()
      assert.ok(ms < BACK_WITHIN, `${ms} ms`)
      assert.equal(away.connection.up, true)
      assert.equal((await away.known.get('/session')).json().name, 'ada')
    })
  })
}

test('a short absence of Redis within a request costs time, but no error', async (t) => {
  const away = await start(t)
  away.proxy.cut()
  const [hit, visit] = await Promise.all([
    away.app.inject({ method: 'POST', url: '/hits' }),
    new Visitor(away.app).get('/')
  ])
  assert.equal(hit.statusCode, 200)
  assert.equal(visit.statusCode, 200)
})

test('a session that cannot be stored gets 503, not a success', async (t) => {
  const redis = await startRedis(t)
  const proxy = await RedisProxy.start(t, redis.url)
  const { app } = await startApp(t, {
    redis,
    url: proxy.url,
    env: { REDIS_TIMEOUT: `${REDIS_TIMEOUT}` },
    routes: async (scope) => {
      scope.post('/cart', async (request) => {
        await proxy.refuse()
        request.session.name = 'ada'
        return { stored: true }
      })
    }
  })
  assertUnavailable(await new Visitor(app).post('/cart'))
})

/** Routes that say nothing about sessions: some use them, others do not. */
const mixed: FastifyPluginAsync = async (scope) => {
  await scope.register(routesWithOwnCommand)
  scope.get('/style.css', async (_request, reply) => reply.type('text/css').send('body {}'))
  scope.get('/name', async (request) => request.session.name ?? 'nobody')
  scope.get('/name-if-known', async (request) => {
    try {
      return request.session.name ?? 'nobody'
    } catch (error) {
      return `unknown: ${(error as HttpError).code}`
    }
  })
  scope.post('/theme', async (request, reply) => {
    reply.header('x-before', 'yes')
    request.session.name = 'grace'
    return 'stored'
  })
}

describe('routes that need no session', () => {
  /** The answers of an app that cannot load any session. */
  async function assertServes(app: FastifyInstance, visitor: Visitor): Promise<void> {
    for (const who of [new Visitor(app, visitor.cookie), new Visitor(app)]) {
      const file = await who.get('/style.css')
      assert.deepEqual([file.statusCode, file.body, file.headers['set-cookie']], [200, 'body {}', undefined])
      assertUnavailable(await who.get('/name'))
      assertUnavailable(await who.post('/theme'))
      const handled = await who.get('/name-if-known')
      assert.deepEqual([handled.statusCode, handled.body], [200, 'unknown: STATE_UNAVAILABLE'])
      assert.equal(handled.headers['set-cookie'], undefined)
    }
  }

  test('are served while Redis is away; those that use the session get 503, and no cookie is set', async (t) => {
    const away = await start(t, mixed)
    await away.proxy.refuse()
    assertUnavailable(await new Visitor(away.app, away.known.cookie).get('/name'))
    // Without a cookie there is nothing to read: the visitor has a new session.
    assert.equal((await new Visitor(away.app).get('/name')).body, 'nobody')
    assertUnavailable(await new Visitor(away.app).post('/theme'))
    const file = await new Visitor(away.app, away.known.cookie).get('/style.css')
    assert.deepEqual([file.statusCode, file.headers['set-cookie']], [200, undefined])
    const handled = await new Visitor(away.app, away.known.cookie).get('/name-if-known')
    assert.deepEqual([handled.body, handled.headers['set-cookie']], ['unknown: STATE_UNAVAILABLE', undefined])
    for (const ask of everything(away)) assertUnavailable(await ask())
    await away.proxy.accept()
    await until(() => away.connection.up, 'Redis is up')
    assert.equal((await away.known.get('/name')).body, 'ada')
  })

  test('are served by a worker that has no secret yet, because Redis was never there', async (t) => {
    const redis = await startRedis(t)
    const settled = await startApp(t, { redis, routes: mixed })
    const known = new Visitor(settled.app)
    await known.post('/session', { name: 'ada' })
    const proxy = await RedisProxy.start(t, redis.url)
    await proxy.refuse()
    const env = { REDIS_TIMEOUT: `${REDIS_TIMEOUT}` }
    const { app, connection } = await startApp(t, { redis, url: proxy.url, env, routes: mixed })
    await assertServes(app, known)
    await proxy.accept()
    await until(() => connection.up, 'Redis is up')
    assert.equal((await new Visitor(app, known.cookie).get('/name')).body, 'ada')
  })
})

describe('a worker that starts while Redis is away', () => {
  timed('is there, says 503, and serves as soon as Redis is there, with the secret that all share', async (t) => {
    const redis = await startRedis(t)
    const settled = await startApp(t, { redis })
    const known = new Visitor(settled.app)
    await known.post('/session', { name: 'ada' })

    const proxy = await RedisProxy.start(t, redis.url)
    await proxy.refuse()
    const began = performance.now()
    const env = { REDIS_TIMEOUT: `${REDIS_TIMEOUT}` }
    const late: Away = {
      ...(await startApp(t, { redis, url: proxy.url, routes: routesWithOwnCommand, env })),
      proxy,
      known
    }
    assert.ok(performance.now() - began < 10_000, 'it waits for Redis')
    assert.equal(late.connection.up, false)
    assert.equal((await late.app.inject('/livez')).statusCode, 200)
    for (const ask of everything(late)) assertUnavailable(await ask())

    await proxy.accept()
    const returned = performance.now()
    await until(() => late.connection.up, 'Redis is up')
    assert.ok(performance.now() - returned < BACK_WITHIN, `${performance.now() - returned} ms`)
    assert.equal((await new Visitor(late.app, known.cookie).get('/session')).json().name, 'ada')
    assert.equal((await new Visitor(late.app).get('/')).statusCode, 200)
  })

  test('gives every request the same timeout, also when others are already waiting', async (t) => {
    const away = await start(t)
    away.proxy.hang()
    const told: Promise<number[]>[] = []
    for (let i = 0; i < 8; i++) {
      told.push(timesOf(everything(away)))
      await sleep(REDIS_TIMEOUT / 8)
    }
    const slowest = Math.max(...(await Promise.all(told)).flat())
    assert.ok(slowest < REDIS_TIMEOUT + MARGIN, `${slowest} ms`)
  })

  test('starts even when Redis accepts connections and never answers', async (t) => {
    const redis = await startRedis(t)
    const proxy = await RedisProxy.start(t, redis.url)
    proxy.hang()
    const { app, connection } = await startApp(t, { redis, url: proxy.url, env: { REDIS_TIMEOUT: `${REDIS_TIMEOUT}` } })
    assert.equal(connection.up, false)
    assertUnavailable(await app.inject('/hits'))
    await proxy.flow()
    await until(() => connection.up, 'Redis is up')
  })
})
