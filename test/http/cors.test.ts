import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import cors, { type FastifyCorsOptions } from '@fastify/cors'
import type { FastifyInstance, FastifyPluginAsync, InjectOptions } from 'fastify'
import { setCookieOf, startApp } from '../helpers/app.ts'

const HOST = 'muster.example'
const FRIEND = 'https://app.example'
const STRANGER = 'https://evil.example'
/** Credentials that a browser adds to a request by itself. */
const COOKIE = { cookie: 'sid=x.y' }
const BASIC = { authorization: 'Basic YTpi' }
/** One that only code of the page can send. */
const TOKEN = { authorization: 'Bearer abc' }

const things: FastifyPluginAsync = async (scope) => {
  scope.post('/things', async () => 'made')
  scope.get('/things', async () => 'things')
}

/** Sends a request as the browser of a page of `origin` does. @returns its status */
async function send(app: FastifyInstance, origin: string, extra: Record<string, string> = {}, url = '/things') {
  const headers = { host: HOST, origin, 'sec-fetch-site': 'cross-site', ...extra }
  return (await app.inject({ method: 'POST', url, headers })).statusCode
}

describe('a POST from another origin passes when @fastify/cors allows it', () => {
  const serve = (options: FastifyCorsOptions): FastifyPluginAsync => {
    return async (scope) => {
      await scope.register(cors, options)
      await scope.register(things)
    }
  }
  const isFriend = (origin: string | undefined) => origin === FRIEND
  const listed: Record<string, FastifyCorsOptions> = {
    'a text': { origin: FRIEND },
    'a list with a pattern': { origin: ['https://other.example', /^https:\/\/app\.example$/] },
    'a function with a callback': { origin: (origin, done) => done(null, isFriend(origin)) },
    'a function with a promise': { origin: async (origin?: string) => isFriend(origin) },
    'a delegator': { delegator: (request, done) => done(null, { origin: isFriend(request.headers.origin) && FRIEND }) }
  }
  for (const [what, options] of Object.entries(listed)) {
    test(`by ${what}; other origins and requests with credentials stay refused`, async (t) => {
      const { app } = await startApp(t, { routes: serve(options) })
      assert.equal(await send(app, FRIEND), 200)
      assert.equal(await send(app, FRIEND, TOKEN), 200)
      for (const credentials of [COOKIE, BASIC]) assert.equal(await send(app, FRIEND, credentials), 403)
      for (const origin of [STRANGER, 'null', `${FRIEND}.evil.example`])
        assert.equal(await send(app, origin), 403, origin)
    })
  }

  test('with credentials, when it allows these too', async (t) => {
    const { app } = await startApp(t, { routes: serve({ origin: [FRIEND], credentials: true }) })
    for (const credentials of [{}, COOKIE, BASIC, TOKEN]) {
      assert.equal(await send(app, FRIEND, credentials), 200)
      assert.equal(await send(app, STRANGER, credentials), 403)
    }
  })

  test('from every origin, but then with no credentials', async (t) => {
    for (const options of [{}, { origin: '*' }, { origin: true }, { origin: '*', credentials: true }]) {
      const { app } = await startApp(t, { routes: serve(options) })
      assert.equal(await send(app, STRANGER), 200)
      assert.equal(await send(app, STRANGER, TOKEN), 200)
      for (const credentials of [COOKIE, BASIC]) assert.equal(await send(app, STRANGER, credentials), 403)
    }
  })

  test('in its scope only, and not on a route that it leaves out', async (t) => {
    const { app } = await startApp(t, {
      routes: async (scope) => {
        const api: FastifyPluginAsync = async (inner) => {
          await inner.register(cors, { origin: FRIEND })
          await inner.register(things)
          inner.post('/private', { config: { cors: false } as object }, async () => 'made')
        }
        await scope.register(api, { prefix: '/api' })
        await scope.register(things)
      }
    })
    assert.equal(await send(app, FRIEND, {}, '/api/things'), 200)
    assert.equal(await send(app, FRIEND, {}, '/api/private'), 403)
    assert.equal(await send(app, FRIEND), 403)
  })

  test('with a session: a page of the allowed origin signs in and stays signed in', async (t) => {
    const { app } = await startApp(t, {
      routes: async (scope) => {
        await scope.register(cors, { origin: FRIEND, credentials: true })
        scope.post('/sign-in', (request) => scope.sessions.signIn(request, 'ada').then(() => 'ok'))
        scope.post('/name', async ({ session }) => session.name)
      }
    })
    const headers = { host: HOST, origin: FRIEND, 'sec-fetch-site': 'cross-site' }
    const signedIn = await app.inject({ method: 'POST', url: '/sign-in', headers })
    assert.equal(signedIn.headers['access-control-allow-origin'], FRIEND)
    const { name, value } = setCookieOf(signedIn)!
    const again: InjectOptions = { method: 'POST', url: '/name', headers: { ...headers, cookie: `${name}=${value}` } }
    assert.equal((await app.inject(again)).body, 'ada')
    assert.equal(await send(app, STRANGER, { cookie: `${name}=${value}` }, '/name'), 403)
  })

  test('a WebSocket stays refused: browsers apply no CORS to it', async (t) => {
    const { app } = await startApp(t, { routes: serve({ origin: true, credentials: true }) })
    const headers = { host: HOST, origin: STRANGER, connection: 'upgrade', upgrade: 'websocket' }
    assert.equal((await app.inject({ url: '/things', headers })).statusCode, 403)
    const own = { ...headers, origin: `https://${HOST}` }
    assert.equal((await app.inject({ url: '/things', headers: own })).statusCode, 200)
  })
})

test('crossSiteCheck: false, or crossSite set by an onRoute hook of the app, lets pages of other sites in', async (t) => {
  const { app: open } = await startApp(t, { routes: things, appOptions: { crossSiteCheck: false } })
  assert.equal(await send(open, STRANGER, COOKIE), 200)
  const { app } = await startApp(t, {
    routes: async (scope) => {
      scope.addHook('onRoute', (route) => {
        if (route.url.startsWith('/hooks')) route.config = { ...route.config, crossSite: true }
      })
      await scope.register(things, { prefix: '/hooks' })
      await scope.register(things)
    }
  })
  assert.equal(await send(app, STRANGER, {}, '/hooks/things'), 200)
  assert.equal(await send(app, STRANGER), 403)
})

test('a not-found handler of the app is protected like a route', async (t) => {
  const { app } = await startApp(t, {
    routes: async (scope) => {
      const api: FastifyPluginAsync = async (inner) => {
        inner.setNotFoundHandler(async (_request, reply) => reply.code(404).send('nothing'))
      }
      await scope.register(api, { prefix: '/api' })
      scope.setNotFoundHandler(async (_request, reply) => reply.code(404).send('nothing'))
    }
  })
  for (const url of ['/api/x', '/x']) {
    assert.equal(await send(app, STRANGER, {}, url), 403)
    assert.equal(await send(app, `https://${HOST}`, { 'sec-fetch-site': 'same-origin' }, url), 404)
  }
})

test('a preflight is answered by @fastify/cors, and never refused', async (t) => {
  const { app } = await startApp(t, {
    routes: async (scope) => {
      const api: FastifyPluginAsync = async (inner) => {
        await inner.register(cors, { origin: FRIEND, methods: ['POST'], credentials: true })
        await inner.register(things)
      }
      await scope.register(api, { prefix: '/api' })
      await scope.register(things)
    }
  })
  const headers = {
    host: HOST,
    origin: FRIEND,
    'sec-fetch-site': 'cross-site',
    'access-control-request-method': 'POST'
  }
  const allowed = await app.inject({ method: 'OPTIONS', url: '/api/things', headers })
  assert.equal(allowed.statusCode, 204)
  assert.equal(allowed.headers['access-control-allow-origin'], FRIEND)
  assert.equal(allowed.headers['access-control-allow-methods'], 'POST')
  const without = await app.inject({ method: 'OPTIONS', url: '/things', headers })
  assert.deepEqual([without.statusCode, without.headers['access-control-allow-origin']], [204, undefined])
})

test('in maintenance everything gets 503, before the hooks of the app', async (t) => {
  let hooks = 0
  const { app } = await startApp(t, {
    routes: async (scope) => {
      scope.addHook('onRequest', async () => {
        hooks++
      })
      await scope.register(cors, { origin: FRIEND })
      await scope.register(things)
    }
  })
  await app.shared.settings.set('maintenance', true)
  for (const origin of [FRIEND, STRANGER]) assert.equal(await send(app, origin), 503)
  assert.equal(hooks, 0)
})
