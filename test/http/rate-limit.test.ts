import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import fastifyRateLimit from '@fastify/rate-limit'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import exampleRoutes from '../../src/routes/index.ts'
import { commandsDuring, startApp } from '../helpers/app.ts'
import { startRedis } from '../helpers/redis.ts'

/** The window is so long that no test sees its end. */
const WINDOW = { RATE_WINDOW: String(2 ** 31 - 1), RATE_EXEMPT: '192.0.2.0/24,2001:db8:ffff::/48' }

const start = (t: TestContext, env: Record<string, string>, redis?: Awaited<ReturnType<typeof startRedis>>) =>
  startApp(t, { env: { ...WINDOW, ...env }, ...(redis && { redis }) })

const ask = async (app: FastifyInstance, remoteAddress: string, headers: Record<string, string> = {}) =>
  (await app.inject({ url: '/digest/a', remoteAddress, headers })).statusCode

/** Sends a number of requests. @returns how many were accepted */
async function through(requests: number, request: () => Promise<number>): Promise<number> {
  let passed = 0
  for (let i = 0; i < requests; i++) if ((await request()) === 200) passed++
  return passed
}

test('RATE_LIMIT applies per IPv4 address and per IPv6 /64', async (t) => {
  const { app } = await start(t, { RATE_LIMIT: '10' })
  assert.equal(await through(15, () => ask(app, '198.51.100.1')), 10)
  const refused = await app.inject({ url: '/nowhere', remoteAddress: '198.51.100.1' })
  assert.deepEqual([refused.statusCode, refused.json().code], [429, 'RATE_LIMITED'])
  assert.ok(Number(refused.headers['retry-after']) > 0)
  assert.equal(await ask(app, '198.51.100.2'), 200)
  let last = 0
  assert.equal(await through(15, () => ask(app, `2001:db8:1:2:${(++last).toString(16)}::1`)), 10, 'one /64')
  assert.equal(await ask(app, '2001:db8:1:3::1'), 200, 'the next /64')
  assert.equal(await through(3, () => ask(app, '::ffff:198.51.100.1')), 0, 'the same address in IPv6')
  for (const exempt of ['192.0.2.7', '2001:db8:ffff:1::1']) assert.equal(await through(15, () => ask(app, exempt)), 15)
  for (const url of ['/livez', '/readyz', '/healthz', '/metrics']) {
    assert.equal((await app.inject({ url, remoteAddress: '198.51.100.1' })).statusCode, 200, url)
  }
})

test('X-Forwarded-For changes the client only when a trusted proxy sends it', async (t) => {
  const { app } = await start(t, { RATE_LIMIT: '10', TRUST_PROXY: '203.0.113.1' })
  let last = 0
  const forged = () => ask(app, '198.51.100.1', { 'x-forwarded-for': `10.0.0.${++last}` })
  assert.equal(await through(15, forged), 10)
  const behind = (client: string) => () => ask(app, '203.0.113.1', { 'x-forwarded-for': `10.9.9.${++last}, ${client}` })
  assert.equal(await through(15, behind('198.51.100.2')), 10, 'what the client itself put in front is not looked at')
  assert.equal(await through(5, behind('198.51.100.3')), 5)
})

test('workers and hosts count together: with a delay for requests, at once for sign-ins; without Redis each counts alone', async (t) => {
  const redis = await startRedis(t)
  const env = { RATE_LIMIT: '40', SIGN_IN_LIMIT: '3' }
  const [{ app: one }, { app: other }] = [await start(t, env, redis), await start(t, env, redis)]
  const client = '198.51.100.1'
  const signIn = (app: FastifyInstance) => () =>
    app
      .inject({ method: 'POST', url: '/session', payload: { name: 'ada' }, remoteAddress: '198.51.100.9' })
      .then((answer) => answer.statusCode)
  assert.equal(await through(2, signIn(one)), 2)
  assert.equal(await through(3, signIn(other)), 1)

  assert.equal(await through(30, () => ask(one, client)), 30)
  let passed = 0
  while ((await ask(other, client)) === 200) {
    passed++
    await sleep(50)
  }
  assert.ok(passed < 35, `the other let ${passed} more through: what the first did does not count there`)
  assert.ok((await redis.client.pttl((await redis.client.keys('muster:rate:198.51.100.1:*'))[0]!)) > 0, 'it ends')

  await redis.server.stop()
  assert.equal(await through(45, () => ask(one, '198.51.100.2')), 40)
})

test('0 disables the limit', async (t) => {
  const { app } = await start(t, { RATE_LIMIT: '0', SIGN_IN_LIMIT: '0' })
  assert.equal(await through(50, () => ask(app, '198.51.100.1')), 50)
  const request = { method: 'POST', url: '/session', payload: { name: 'ada' }, remoteAddress: '198.51.100.1' } as const
  assert.equal(await through(10, async () => (await app.inject(request)).statusCode), 10)
})

test('routes of one URL have separate limits: GET requests do not use up the limit of POST', async (t) => {
  const { app } = await startApp(t, {
    env: WINDOW,
    routes: async (scope) => {
      scope.get('/things', { config: { rateLimit: { max: 6 } } }, async () => 'ok')
      scope.post('/things', { config: { rateLimit: { max: 5 } } }, async () => 'ok')
    }
  })
  const send = (method: 'GET' | 'HEAD' | 'POST') => async () =>
    (await app.inject({ method, url: '/things', remoteAddress: '198.51.100.1' })).statusCode
  assert.equal(await through(4, send('GET')), 4)
  assert.equal(await through(7, send('POST')), 5)
  assert.equal(await through(4, send('HEAD')), 2, 'HEAD is GET without a body')
  assert.equal(await through(2, send('GET')), 0)
})

describe('the limit of a route', () => {
  const limited: FastifyPluginAsync = async (scope) => {
    scope.get('/limited', { config: { rateLimit: { max: 3 } } }, async () => 'ok')
  }
  const get = (app: FastifyInstance, url: string, remoteAddress: string) => async () =>
    (await app.inject({ url, remoteAddress })).statusCode

  test('counts requests of addresses in RATE_EXEMPT too, which RATE_LIMIT and SIGN_IN_LIMIT do not', async (t) => {
    const { app } = await startApp(t, {
      env: { RATE_WINDOW: WINDOW.RATE_WINDOW, RATE_LIMIT: '2', SIGN_IN_LIMIT: '2' },
      routes: async (scope) => {
        await scope.register(exampleRoutes)
        await scope.register(limited)
      }
    })
    for (const local of ['127.0.0.1', '::1']) {
      assert.equal(await through(5, get(app, '/limited', local)), 3, local)
      assert.equal(await through(5, get(app, '/digest/a', local)), 5, local)
      const signIn = { method: 'POST', url: '/session', payload: { name: 'ada' }, remoteAddress: local } as const
      assert.equal(await through(5, async () => (await app.inject(signIn)).statusCode), 5, local)
    }
  })

  test('may be set by an onRoute hook of the app, by method and phase', async (t) => {
    const { app } = await startApp(t, {
      env: WINDOW,
      routes: async (scope) => {
        scope.addHook('onRoute', (route) => {
          if (route.url === '/late') route.config = { ...route.config, rateLimit: { max: 2 } }
        })
        scope.get('/late', async () => 'ok')
        const byName = { max: 2, hook: 'preHandler', keyGenerator: ({ body }: { body: unknown }) => `${body}` } as const
        scope.post('/names', { config: { rateLimit: byName } }, async () => 'ok')
      }
    })
    assert.equal(await through(5, get(app, '/late', '198.51.100.1')), 2)
    const post = (payload: string) => async () =>
      (await app.inject({ method: 'POST', url: '/names', headers: { 'content-type': 'text/plain' }, payload }))
        .statusCode
    assert.equal(await through(3, post('ada')), 2)
    assert.equal(await through(3, post('grace')), 2)
  })
})

test('a limit that is no object stops the start, and the message names the route', async (t) => {
  const routes: FastifyPluginAsync = async (scope) => {
    scope.get('/limited', { config: { rateLimit: 10 as never } }, async () => 'ok')
  }
  await assert.rejects(startApp(t, { routes }), /The rateLimit of GET \/limited is 10: set it to an object/)
})

describe('@fastify/rate-limit of the app', () => {
  const counted: FastifyPluginAsync = async (scope) => {
    assert.equal(scope.hasDecorator('rateLimit'), false, 'none of the service')
    await scope.register(fastifyRateLimit, { max: 4 })
    scope.get('/all', async () => 'ok')
    scope.get('/own', { config: { rateLimit: { max: 2 } } }, async () => 'ok')
  }

  test('counts the routes of its scope, once and in its own store; RATE_LIMIT holds beside it', async (t) => {
    const { app, redis } = await startApp(t, {
      env: { ...WINDOW, RATE_LIMIT: '12' },
      routes: async (scope) => {
        await scope.register(counted)
        scope.get('/ours', { config: { rateLimit: { max: 3 } } }, async () => 'ok')
      }
    })
    const ask = (url: string) => app.inject({ url, remoteAddress: '198.51.100.1' })
    const passed = (url: string) => through(4, async () => (await ask(url)).statusCode)
    const commands = await commandsDuring(redis, async () => {
      assert.equal(await passed('/own'), 2)
      assert.equal(await passed('/all'), 4)
    })
    assert.equal(commands.pexpire ?? 0, 0, 'the count of a route in Redis')
    const { headers, statusCode } = await ask('/own')
    assert.deepEqual([statusCode, headers['x-ratelimit-limit']], [429, '2'], 'the answer of the plugin')
    assert.equal(await passed('/ours'), 3)
    assert.equal((await ask('/ours')).json().code, 'RATE_LIMITED', 'RATE_LIMIT')
  })

  test('counts the whole app when it is registered before the routes', async (t) => {
    const { app } = await startApp(t, { env: { ...WINDOW, RATE_LIMIT: '0' }, routes: counted })
    const passed = (url: string) =>
      through(6, async () => (await app.inject({ url, remoteAddress: '198.51.100.1' })).statusCode)
    assert.deepEqual([await passed('/own'), await passed('/all')], [2, 4])
  })

  test('is the only one with rateLimit: false', async (t) => {
    const { app } = await startApp(t, {
      env: { ...WINDOW, RATE_LIMIT: '1' },
      appOptions: { rateLimit: false },
      routes: async (scope) => {
        scope.get('/free', { config: { rateLimit: { max: 1 } } }, async () => 'ok')
        await scope.register(counted)
      }
    })
    const passed = (url: string) =>
      through(6, async () => (await app.inject({ url, remoteAddress: '198.51.100.1' })).statusCode)
    assert.deepEqual([await passed('/free'), await passed('/all'), await passed('/own')], [6, 4, 2])
  })
})
