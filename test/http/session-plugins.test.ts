import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import cookie from '@fastify/cookie'
import csrfProtection from '@fastify/csrf-protection'
import flash from '@fastify/flash'
import fastifySession from '@fastify/session'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import { commandsDuring, sessionKeys, setCookieOf, startApp, Visitor } from '../helpers/app.ts'

declare module 'fastify' {
  interface Session {
    cart?: string
  }
}

const SECRET = 'a-secret-of-the-app-with-32-bytes'
const OWN = { secret: SECRET, cookieName: 'own', cookie: { secure: false } }

/** A page that stores something in the session, whichever session that is. */
const cart: FastifyPluginAsync = async (scope) => {
  scope.post<{ Params: { thing: string } }>('/cart/:thing', async (request) => {
    request.session.cart = request.params.thing
    return 'ok'
  })
  scope.get('/cart', async (request) => request.session.cart ?? 'empty')
}

/** Puts something into the cart and looks at it. @returns the names of the cookies that were set */
async function shop(app: FastifyInstance, prefix = ''): Promise<string[]> {
  const stored = await app.inject({ method: 'POST', url: `${prefix}/cart/book` })
  assert.equal(stored.statusCode, 200, stored.body)
  const set = [stored.headers['set-cookie'] ?? []].flat()
  const headers = { cookie: set.map((one) => one.split(';', 1)[0]).join('; ') }
  assert.equal((await app.inject({ url: `${prefix}/cart`, headers })).body, 'book')
  return set.map((one) => one.split('=', 1)[0]!)
}

describe('a session plugin of the app', () => {
  /** Ways to register it: for all routes of the app, and as an app that is itself a plugin without a scope. */
  const ways: Record<string, FastifyPluginAsync> = {
    'before the routes': async (scope) => {
      await scope.register(cookie)
      await scope.register(fastifySession, OWN)
      await scope.register(cart)
    },
    'after the routes': async (scope) => {
      await cart(scope, {})
      await scope.register(cookie)
      await scope.register(fastifySession, OWN)
    },
    'in an app that shares the scope of its caller': fp(async (scope) => {
      await scope.register(cookie)
      await scope.register(fastifySession, OWN)
      await cart(scope, {})
    })
  }
  for (const [way, routes] of Object.entries(ways)) {
    test(`${way}: its session is used, and nothing is read from or written to Redis`, async (t) => {
      const { app, redis } = await startApp(t, { routes })
      let names: string[] = []
      const commands = await commandsDuring(redis, async () => {
        names = await shop(app)
      })
      assert.deepEqual(names, ['own'])
      assert.deepEqual(commands, {})
    })
  }

  test('in one scope: routes beside it have the session of the service', async (t) => {
    const { app, redis } = await startApp(t, {
      routes: async (scope) => {
        await scope.register(cookie)
        const shop: FastifyPluginAsync = async (inner) => {
          await inner.register(fastifySession, OWN)
          await inner.register(cart)
        }
        await scope.register(shop, { prefix: '/own' })
        await scope.register(cart)
      }
    })
    assert.deepEqual(await shop(app, '/own'), ['own'])
    assert.deepEqual(await sessionKeys(redis), [])
    assert.deepEqual(await shop(app), ['sid'])
    assert.equal((await sessionKeys(redis)).length, 1)
  })

  test('that decorates requests with a getter, or assigns the session, wins too', async (t) => {
    const { app, redis } = await startApp(t, {
      routes: async (scope) => {
        await scope.register(
          async (inner) => {
            inner.decorateRequest('session', { getter: () => ({ cart: 'a getter' }) as never })
            inner.get('/cart', async (request) => request.session.cart)
          },
          { prefix: '/getter' }
        )
        scope.get('/assigned', async (request) => {
          request.session = { cart: 'a handler' } as never
          return request.session.cart
        })
        await scope.register(
          async (inner) => {
            inner.addHook('onRequest', async (request) => {
              if (request.headers['x-hook'] !== undefined) request.session = { cart: 'a hook' } as never
            })
            await inner.register(cart)
          },
          { prefix: '/hook' }
        )
      }
    })
    const commands = await commandsDuring(redis, async () => {
      assert.equal((await app.inject('/getter/cart')).body, 'a getter')
      const assigned = await app.inject('/assigned')
      assert.deepEqual([assigned.body, assigned.headers['set-cookie']], ['a handler', undefined])
      assert.equal((await app.inject('/hook/cart')).body, 'empty', 'the session of the service')
      assert.equal((await app.inject({ url: '/hook/cart', headers: { 'x-hook': '' } })).body, 'a hook')
      const stored = await app.inject({ method: 'POST', url: '/hook/cart/book', headers: { 'x-hook': '' } })
      assert.deepEqual([stored.statusCode, stored.headers['set-cookie']], [200, undefined])
    })
    assert.deepEqual(commands, {})
  })

  test('makes app.sessions say which route has no session of the service', async (t) => {
    const lines: string[] = []
    const { app } = await startApp(t, {
      onLog: (line) => lines.push(line),
      routes: async (scope) => {
        await scope.register(cookie)
        await scope.register(fastifySession, OWN)
        scope.post('/sign-in', (request) => scope.sessions.signIn(request, 'ada'))
      }
    })
    assert.equal((await app.inject({ method: 'POST', url: '/sign-in' })).statusCode, 500)
    assert.match(lines.join(''), /POST \/sign-in has no session of this service/)
  })
})

test('the cookies of the app and that of the session do not disturb each other', async (t) => {
  const { app } = await startApp(t, {
    routes: async (scope) => {
      await scope.register(cookie, { secret: SECRET })
      scope.post('/both', async (request, reply) => {
        request.session.cart = 'book'
        reply.setCookie('theme', 'dark').setCookie('seen', 'yes', { signed: true })
        return { cookies: Object.keys(request.cookies).sort() }
      })
    }
  })
  const visitor = new Visitor(app)
  const first = await visitor.post('/both')
  const names = [first.headers['set-cookie']].flat().map((one) => one!.split('=', 1)[0])
  assert.deepEqual(names.sort(), ['seen', 'sid', 'theme'])
  visitor.cookie = setCookieOf(first)!.value
  const headers = { cookie: `theme=dark; sid=${visitor.cookie}; seen=yes` }
  const again = await app.inject({ method: 'POST', url: '/both', headers })
  assert.deepEqual(again.json(), { cookies: ['seen', 'sid', 'theme'] })
  assert.equal(setCookieOf(again), undefined)
})

describe('plugins that need a session', () => {
  test('@fastify/flash uses the one of the service, or the one of the app', async (t) => {
    const pages: FastifyPluginAsync = async (scope) => {
      await scope.register(flash)
      scope.post('/save', async (request) => {
        request.flash('info', 'saved')
        return 'ok'
      })
      scope.get('/', async (_request, reply) => reply.flash('info'))
    }
    const own: FastifyPluginAsync = async (scope) => {
      await scope.register(cookie)
      await scope.register(fastifySession, OWN)
      await scope.register(pages)
    }
    for (const [routes, name] of [
      [pages, 'sid'],
      [own, 'own']
    ] as const) {
      const { app } = await startApp(t, { routes })
      const saved = await app.inject({ method: 'POST', url: '/save' })
      const [sent = ''] = [saved.headers['set-cookie']].flat()
      assert.ok(sent.startsWith(`${name}=`), sent)
      const headers = { cookie: sent.split(';', 1)[0]! }
      assert.deepEqual((await app.inject({ url: '/', headers })).json(), ['saved'])
      assert.deepEqual((await app.inject({ url: '/', headers })).json(), [], 'shown once')
    }
  })

  for (const sessionPlugin of ['@fastify/session', '@fastify/cookie'] as const) {
    test(`@fastify/csrf-protection keeps its secret in the session of ${sessionPlugin}`, async (t) => {
      const { app } = await startApp(t, {
        routes: async (scope) => {
          if (sessionPlugin === '@fastify/cookie') await scope.register(cookie, { secret: SECRET })
          await scope.register(csrfProtection, { sessionPlugin })
          scope.get('/form', async (_request, reply) => ({ token: reply.generateCsrf() }))
          scope.post('/form', { onRequest: scope.csrfProtection }, async () => 'taken')
        }
      })
      const form = await app.inject('/form')
      const sent = [form.headers['set-cookie']].flat().map((one) => one!.split(';', 1)[0])
      const headers = { cookie: sent.join('; '), 'csrf-token': form.json().token as string }
      const post = async (sent: Record<string, string>) =>
        (await app.inject({ method: 'POST', url: '/form', headers: sent })).statusCode
      assert.equal(await post(headers), 200)
      assert.equal(await post({ ...headers, 'csrf-token': 'wrong' }), 403)
      assert.equal(await post({ 'csrf-token': headers['csrf-token'] }), 403)
    })
  }
})

describe('an app without sessions', () => {
  test('sessions: false switches them off everywhere', async (t) => {
    const { app, redis } = await startApp(t, {
      appOptions: { sessions: false },
      routes: async (scope) => {
        assert.equal(scope.hasRequestDecorator('session'), false)
        scope.get('/', async (request) => ({ session: typeof request.session }))
      }
    })
    const headers = { cookie: 'sid=x.y' }
    const commands = await commandsDuring(redis, async () => {
      assert.deepEqual((await app.inject({ url: '/', headers })).json(), { session: 'undefined' })
    })
    assert.deepEqual(commands, {})
  })

  test('config.session may be set by an onRoute hook of the app', async (t) => {
    const { app, redis } = await startApp(t, {
      routes: async (scope) => {
        scope.addHook('onRoute', (route) => {
          if (route.url.startsWith('/files')) route.config = { ...route.config, session: false }
        })
        scope.get('/files/a', async (request) => ({ session: request.session }))
        await scope.register(cart)
      }
    })
    const visitor = new Visitor(app)
    await visitor.post('/cart/book')
    const commands = await commandsDuring(redis, async () => {
      assert.deepEqual((await visitor.get('/files/a')).json(), { session: null })
    })
    assert.deepEqual(commands, {})
    assert.equal((await visitor.get('/cart')).body, 'book')
  })
})
