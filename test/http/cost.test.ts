import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { FastifyPluginAsync } from 'fastify'
import { commandsDuring, setCookieOf, startApp, Visitor } from '../helpers/app.ts'

describe('routes without a session set no cookie and send no session command to Redis', () => {
  const free: [method: 'GET' | 'POST' | 'PUT', path: string, commands: Record<string, number>][] = [
    ['GET', '/livez', {}],
    ['GET', '/readyz', {}],
    ['GET', '/readyz?verbose', {}],
    ['GET', '/healthz', {}],
    ['GET', '/metrics', {}],
    ['GET', '/nowhere', {}],
    ['PUT', '/', {}],
    ['GET', '/hits', { get: 1 }],
    ['POST', '/hits', { evalsha: 1 }]
  ]
  for (const [method, path, expected] of free) {
    test(`${method} ${path}`, async (t) => {
      const { app, redis } = await startApp(t)
      const visitor = new Visitor(app)
      await visitor.get('/')
      await visitor.post('/hits')
      for (const who of [visitor, new Visitor(app)]) {
        const commands = await commandsDuring(redis, async () => {
          const response = await who.request({ method, path })
          assert.equal(response.headers['set-cookie'], undefined)
        })
        // A script counts as one command.
        assert.deepEqual(commands.evalsha ? { evalsha: commands.evalsha } : commands, expected)
      }
      assert.equal((await redis.keys('*session:*')).length, 1, 'sessions: the one of GET /')
    })
  }

  test('a hundred concurrent hits cost a few commands: hits of one turn are one batch', async (t) => {
    const { app, redis } = await startApp(t)
    await app.inject({ method: 'POST', url: '/hits' })
    const commands = await commandsDuring(redis, () =>
      Promise.all(Array.from({ length: 100 }, () => app.inject({ method: 'POST', url: '/hits' })))
    )
    assert.ok(commands.evalsha! <= 5, JSON.stringify(commands))
    assert.equal(await redis.get('muster:hits'), '101')
  })
})

describe('session commands of one turn are sent as one', () => {
  test('fifty visits of fifty sessions', async (t) => {
    const { app, redis } = await startApp(t)
    const visitors = Array.from({ length: 50 }, () => new Visitor(app))
    const all = () => Promise.all(visitors.map((visitor) => visitor.get('/')))
    await all()
    await all()
    const commands = await commandsDuring(redis, all)
    assert.equal(commands.getex, 50)
    assert.ok(commands.evalsha! <= 15, JSON.stringify(commands))
    for (const response of await all()) assert.equal(response.json().visits, 4)
  })
})

describe('an unchanged session is not stored', () => {
  test('reading a session that does not exist stores nothing and sets no cookie', async (t) => {
    const { app, redis } = await startApp(t)
    const visitor = new Visitor(app)
    const commands = await commandsDuring(redis, () => visitor.get('/session'))
    assert.deepEqual(commands, {})
    assert.equal(visitor.cookie, undefined)
  })

  test('reading a session costs one read and no write', async (t) => {
    const { app, redis } = await startApp(t)
    const visitor = new Visitor(app)
    await visitor.post('/session', { name: 'ada' })
    // When the cookie first comes back, each worker records the user of the session.
    await visitor.get('/session')
    for (let i = 0; i < 2; i++) {
      const commands = await commandsDuring(redis, async () => {
        const response = await visitor.get('/session')
        assert.equal(response.json().name, 'ada')
        assert.equal(setCookieOf(response), undefined)
      })
      // The script that reads sessions contains GETEX and TIME; GET reads the counter of visits.
      assert.deepEqual(commands, { evalsha: 1, time: 1, getex: 1, get: 1 })
    }
  })

  test('another visit is counted without writing the session', async (t) => {
    const { app, redis } = await startApp(t)
    const visitor = new Visitor(app)
    await visitor.get('/')
    await visitor.get('/')
    const stored = await redis.get(`muster:session:${visitor.sessionId}`)
    const commands = await commandsDuring(redis, () => visitor.get('/'))
    assert.equal(commands.getex, 1, 'the session is read once')
    assert.equal(commands.evalsha, 1, 'one script for the session, its visit and the hit')
    assert.equal(await redis.get(`muster:session:${visitor.sessionId}`), stored)
  })

  test('a handler that sets the same values again writes nothing, on your own routes too', async (t) => {
    const routes: FastifyPluginAsync = async (scope) => {
      scope.get('/theme', async (request) => {
        request.session.set('theme' as never, 'dark' as never)
        return 'ok'
      })
      scope.get('/static', { config: { session: false } }, async () => 'ok')
    }
    const { app, redis } = await startApp(t, { routes })
    const visitor = new Visitor(app)
    await visitor.get('/theme')
    await visitor.get('/theme')
    assert.deepEqual(await commandsDuring(redis, () => visitor.get('/theme')), { evalsha: 1, time: 1, getex: 1 })
    assert.deepEqual(await commandsDuring(redis, () => visitor.get('/static')), {}, 'a route without a session')
  })
})
