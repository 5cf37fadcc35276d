import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import { TOKENS } from '../helpers/admin.ts'
import { startApp } from '../helpers/app.ts'
import { startRedis } from '../helpers/redis.ts'

const headers = { authorization: `Bearer ${TOKENS.ADMIN_TOKEN}` }
const OURS = ['/livez', '/readyz', '/healthz', '/metrics', '/docs/json', '/docs', '/admin', '/admin/status']

describe('a route of the app wins over one of the service', () => {
  test('at every path of the service, and the log names these paths', async (t) => {
    const lines: string[] = []
    const routes: FastifyPluginAsync = async (app) => {
      for (const url of OURS) app.get(url, async () => ({ app: url }))
    }
    const { app } = await startApp(t, { routes, env: TOKENS, onLog: (line) => lines.push(line) })
    for (const url of OURS) {
      assert.deepEqual((await app.inject({ url, headers })).json(), { app: url })
      assert.equal((await app.inject({ url, method: 'HEAD', headers })).statusCode, 200)
    }
    assert.equal((await app.inject({ url: '/admin/events', headers: {} })).statusCode, 401, 'the rest is still there')
    const left = lines
      .map((line) => JSON.parse(line))
      .filter(({ msg }) => msg === 'routes of the service left to the app')
    assert.deepEqual(
      left.map((line) => line.routes.toSorted()),
      [OURS.toSorted()]
    )
  })

  test('whatever its method, also in a nested plugin with a prefix', async (t) => {
    const routes: FastifyPluginAsync = async (app) => {
      await app.register(
        async (scope) => {
          scope.post('/json', async () => 'posted')
        },
        { prefix: '/docs' }
      )
      app.route({ method: ['PUT', 'DELETE'], url: '/metrics', handler: async () => 'changed' })
    }
    const { app } = await startApp(t, { routes })
    assert.equal((await app.inject({ method: 'POST', url: '/docs/json' })).body, 'posted')
    assert.equal((await app.inject('/docs/json')).statusCode, 405)
    assert.equal((await app.inject({ method: 'PUT', url: '/metrics' })).body, 'changed')
    const get = await app.inject('/metrics')
    assert.deepEqual([get.statusCode, get.headers.allow], [405, 'PUT, DELETE, OPTIONS'])
  })

  test('spelled with another case or a trailing slash, where these do not matter', async (t) => {
    const routes: FastifyPluginAsync = async (app) => {
      app.get('/Metrics/', async () => 'of the app')
    }
    const serverOptions = { caseSensitive: false, routerOptions: { ignoreTrailingSlash: true } }
    const { app } = await startApp(t, { routes, serverOptions })
    assert.equal((await app.inject('/metrics')).body, 'of the app')
  })
})

test('wildcards and parameters of the app hide no route of the service', async (t) => {
  const redis = await startRedis(t)
  for (const url of ['/*', '*', '/:page', '/:page?']) {
    const routes: FastifyPluginAsync = async (app) => {
      app.all(url, async (request) => `app ${request.url}`)
    }
    const { app } = await startApp(t, { routes, redis })
    assert.deepEqual((await app.inject('/livez')).json(), { status: 'ok' }, url)
    assert.equal((await app.inject('/other')).body, 'app /other', url)
  }
})

test('paths move the routes of the service, and switch them off', async (t) => {
  const paths = {
    livez: '/internal/alive',
    readyz: false,
    healthz: '/internal/health.json',
    metrics: '/internal/metrics',
    openapi: '/internal/openapi',
    docs: false,
    admin: '/internal/admin'
  } as const
  const { app } = await startApp(t, { env: TOKENS, appOptions: { paths } })
  for (const url of OURS) assert.equal((await app.inject({ url, headers })).statusCode, 404, url)
  assert.deepEqual((await app.inject('/internal/alive')).json(), { status: 'ok' })
  assert.deepEqual((await app.inject('/internal/health.json')).json(), { status: 'ok' })
  assert.match((await app.inject('/internal/metrics')).body, /^http_requests_in_flight/m)
  const document = (await app.inject('/internal/openapi')).json()
  assert.ok(document.paths['/internal/admin/status'])
  const page = await app.inject('/internal/admin')
  assert.match(page.body, /action="\/internal\/admin"/)
  const [script] = page.body.match(/\/internal\/admin\/assets\/console\.\w+\.js/) ?? []
  assert.equal((await app.inject(script!)).statusCode, 200)
  assert.equal((await app.inject('/internal/admin/status')).statusCode, 401)
})

describe('a not-found handler of the app', () => {
  // A new function each time, because fastify-plugin marks the function that it gets.
  const createPage = (): FastifyPluginAsync => async (app) => {
    app.get('/api/known', async () => 'known')
    app.setNotFoundHandler((request, reply) => reply.code(200).type('text/html').send(`<p>${request.method}</p>`))
  }
  const cases: Record<string, FastifyPluginAsync> = {
    'of its plugin': createPage(),
    'of a plugin without encapsulation': fp(createPage()),
    'of a nested plugin': async (app) => void (await app.register(createPage()))
  }
  for (const [what, routes] of Object.entries(cases)) {
    test(`answers all paths and methods that have no route: ${what}`, async (t) => {
      const { app } = await startApp(t, { routes })
      assert.equal((await app.inject('/api/known')).body, 'known')
      assert.equal((await app.inject('/some/page')).body, '<p>GET</p>')
      for (const method of ['POST', 'OPTIONS', 'DELETE'] as const) {
        assert.equal((await app.inject({ method, url: '/api/known' })).body, `<p>${method}</p>`)
      }
      assert.equal((await app.inject('/livez')).statusCode, 200)
    })
  }

  test('of a prefix answers for its prefix; elsewhere the service answers', async (t) => {
    const routes: FastifyPluginAsync = async (app) => {
      app.get('/known', async () => 'known')
      await app.register(createPage(), { prefix: '/site' })
    }
    const { app } = await startApp(t, { routes })
    assert.equal((await app.inject('/site/nope')).body, '<p>GET</p>')
    assert.equal((await app.inject({ method: 'POST', url: '/site/api/known' })).body, '<p>POST</p>')
    assert.equal((await app.inject('/nope')).json().code, 'NOT_FOUND')
    assert.equal((await app.inject({ method: 'POST', url: '/known' })).statusCode, 405)
  })

  test('may throw, and its errors have the shape of the service', async (t) => {
    const routes: FastifyPluginAsync = async (app) => {
      app.setNotFoundHandler(async () => {
        throw new Error('SELECT password')
      })
    }
    const { app } = await startApp(t, { routes })
    const response = await app.inject('/nope')
    assert.deepEqual([response.statusCode, response.json().code], [500, 'INTERNAL'])
    assert.doesNotMatch(response.body, /SELECT/)
  })

  test('answers what reply.callNotFound() refuses; without one the service does', async (t) => {
    const calling: FastifyPluginAsync = async (app) => {
      app.get('/gone', async (_request, reply) => reply.callNotFound())
    }
    const { app: plain, server } = await startApp(t, { routes: calling })
    const refused = await plain.inject('/gone')
    assert.deepEqual([refused.statusCode, refused.json().code], [404, 'NOT_FOUND'])
    const { app } = await startApp(t, {
      redis: server,
      routes: async (scope) => {
        await scope.register(calling)
        await scope.register(createPage())
      }
    })
    assert.equal((await app.inject('/gone')).body, '<p>GET</p>')
  })
})

describe('an error handler of the app', () => {
  test('answers the errors of its scope; elsewhere the service does', async (t) => {
    const routes: FastifyPluginAsync = async (app) => {
      const fail = async () => {
        throw new Error('on purpose')
      }
      app.get('/outside', fail)
      await app.register(async (scope) => {
        scope.setErrorHandler((error: Error, _request, reply) => reply.code(418).send({ own: error.message }))
        scope.get('/inside', fail)
        scope.post('/inside', async () => 'posted')
      })
    }
    const { app } = await startApp(t, { routes })
    const inside = await app.inject('/inside')
    assert.deepEqual([inside.statusCode, inside.json()], [418, { own: 'on purpose' }])
    const invalid = await app.inject({
      method: 'POST',
      url: '/inside',
      payload: '{',
      headers: { 'content-type': 'application/json' }
    })
    assert.equal(invalid.statusCode, 418)
    assert.equal((await app.inject('/outside')).json().code, 'INTERNAL')
  })

  test('may pass an error on to that of the service', async (t) => {
    const routes: FastifyPluginAsync = async (app) => {
      app.setErrorHandler((error) => {
        throw error
      })
      app.get('/fails', async () => {
        throw new Error('on purpose')
      })
    }
    const { app } = await startApp(t, { routes })
    assert.equal((await app.inject('/fails')).json().code, 'INTERNAL')
  })
})

test('methodCheck: false: a method that a path lacks gets 404, as in plain Fastify', async (t) => {
  const { app } = await startApp(t, { appOptions: { methodCheck: false } })
  for (const method of ['DELETE', 'OPTIONS'] as const) {
    assert.equal((await app.inject({ method, url: '/hits' })).statusCode, 404)
  }
})

test('405 and Allow of a path consider all of its routes, also with optional parameters and constraints', async (t) => {
  const routes: FastifyPluginAsync = async (app) => {
    app.get('/things', async () => 'all')
    app.put('/things/:id?', async () => 'put')
    app.get('/words/:word(^[a-z]+$)', async () => 'word')
    app.put('/words/:number(^[0-9]+$)', async () => 'number')
    app.route({ method: 'DELETE', url: '/things', constraints: { host: 'other.example' }, handler: async () => 'gone' })
  }
  const { app } = await startApp(t, { routes })
  const post = await app.inject({ method: 'POST', url: '/things?a=1' })
  assert.equal(post.statusCode, 405)
  assert.equal(post.headers.allow, 'GET, HEAD, PUT, DELETE, OPTIONS')
  assert.equal((await app.inject({ method: 'POST', url: '/things/7' })).headers.allow, 'PUT, OPTIONS')
  assert.equal((await app.inject({ method: 'POST', url: '/words/a' })).headers.allow, 'GET, HEAD, OPTIONS')
  assert.equal((await app.inject({ method: 'PUT', url: '/words/7' })).body, 'number')
  assert.equal((await app.inject({ method: 'DELETE', url: '/things' })).statusCode, 404)
  assert.equal(
    (await app.inject({ method: 'DELETE', url: '/things', headers: { host: 'other.example' } })).body,
    'gone'
  )
})

test('hooks of the app run for paths without a route, so that middleware may answer them', async (t) => {
  const { app } = await startApp(t, {
    routes: async (scope) => {
      scope.addHook('onRequest', async (request, reply) => {
        void reply.header('x-hook', 'ran')
        if (request.url === '/by-middleware') return reply.send({ middleware: true })
      })
    }
  })
  assert.deepEqual((await app.inject('/by-middleware')).json(), { middleware: true })
  const absent = await app.inject('/absent')
  assert.deepEqual([absent.statusCode, absent.headers['x-hook']], [404, 'ran'])
  assert.equal((await app.inject('/livez')).headers['x-hook'], undefined, 'the probes are not part of the app')
})

test('hooks of the app on routes may set their config: the service reads it at the request', async (t) => {
  const logged: { msg: string; url: string; level: number }[] = []
  const routes: FastifyPluginAsync = async (app) => {
    app.addHook('onRoute', (route) => {
      route.config = { ...route.config, session: false, quiet: true, bypassLimits: true, crossSite: true }
    })
    app.post('/free', async (request) => ({ session: request.session ?? null }))
    app.post('/held', { config: { quiet: false } }, async () => 'held')
  }
  const env = { RATE_LIMIT: '1', RATE_EXEMPT: '10.0.0.0/8' }
  const { app } = await startApp(t, { routes, env, onLog: (line) => logged.push(JSON.parse(line)) })
  for (let i = 0; i < 3; i++) {
    const response = await app.inject({ method: 'POST', url: '/free', headers: { 'sec-fetch-site': 'cross-site' } })
    assert.deepEqual([response.statusCode, response.json()], [200, { session: null }])
    assert.equal(response.headers['set-cookie'], undefined)
  }
  assert.deepEqual(
    logged.filter(({ msg }) => msg === 'request'),
    [],
    'quiet requests are logged at debug'
  )
})
