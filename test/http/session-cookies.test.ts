import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { Signer } from '@fastify/cookie'
import exampleRoutes from '../../src/routes/index.ts'
import { commandsDuring, sessionKey, setCookieOf, startApp, Visitor } from '../helpers/app.ts'

const SECRET = 'correct-horse-battery-staple-2026'
const OLD_SECRET = 'tr0ub4dor-and-three-of-its-friends'
const HTTPS = { 'x-forwarded-proto': 'https' }
const PROXY = { TRUST_PROXY: '127.0.0.1' }

/** Removes the parts that differ between answers. */
const lasting = (attributes: string) =>
  attributes
    .split('; ')
    .filter((one) => one !== '' && !/^(Expires|Max-Age)=/.test(one))
    .sort()

describe('the cookie', () => {
  const ways: [how: string, env: Record<string, string>, headers: Record<string, string>, name: string][] = [
    ['over plain http', {}, {}, 'sid'],
    ['over plain http to a trusted proxy', PROXY, { 'x-forwarded-proto': 'http' }, 'sid'],
    ['over https to a trusted proxy', PROXY, HTTPS, '__Host-sid'],
    ['over https, as some proxies write it', PROXY, { 'x-forwarded-proto': 'HTTPS' }, '__Host-sid'],
    ['over https to the last of several proxies', PROXY, { 'x-forwarded-proto': 'http, https' }, '__Host-sid'],
    ['of a client that only says so', {}, HTTPS, 'sid'],
    ['of a client that says so where other proxies are trusted', { TRUST_PROXY: '10.0.0.0/8' }, HTTPS, 'sid'],
    ['of a client behind a trusted proxy that says so', PROXY, { 'x-forwarded-proto': 'https, http' }, 'sid']
  ]
  for (const [how, env, headers, name] of ways) {
    test(`${how} is ${name}, and signing out clears it with the same attributes`, async (t) => {
      const { app } = await startApp(t, { env })
      const visitor = new Visitor(app)
      const set = setCookieOf(await visitor.get('/', headers))!
      assert.equal(set.name, name)
      const secure = name === '__Host-sid' ? ['Secure'] : []
      assert.deepEqual(lasting(set.attributes), ['HttpOnly', 'Path=/', 'SameSite=Lax', ...secure])
      const cleared = setCookieOf(await visitor.request({ method: 'DELETE', path: '/session', headers }))!
      assert.equal(cleared.gone, true)
      assert.equal(cleared.name, name)
      assert.deepEqual(lasting(cleared.attributes), lasting(set.attributes))
    })
  }

  test('of the other name is ignored: over https no session can be planted, over http none is revealed', async (t) => {
    const { app } = await startApp(t, { env: PROXY })
    for (const headers of [{}, HTTPS]) {
      const visitor = new Visitor(app)
      for (const _ of [1, 2]) await visitor.get('/', headers)
      const { cookieName, sessionId } = visitor
      visitor.cookieName = cookieName === 'sid' ? '__Host-sid' : 'sid'
      assert.equal((await visitor.get('/', headers)).json().visits, 1)
      assert.equal(visitor.cookieName, cookieName)
      assert.notEqual(visitor.sessionId, sessionId)
    }
  })

  test('beside one of the other name: each scheme uses its own', async (t) => {
    const { app } = await startApp(t, { env: PROXY })
    const [plain, secure] = [new Visitor(app), new Visitor(app)]
    await plain.get('/')
    for (const _ of [1, 2, 3]) await secure.get('/', HTTPS)
    const cookie = `sid=${plain.cookie}; __Host-sid=${secure.cookie}`
    assert.equal((await app.inject({ url: '/session', headers: { cookie } })).json().visits, 1)
    assert.equal((await app.inject({ url: '/session', headers: { cookie, ...HTTPS } })).json().visits, 3)
  })

  test('is set when the session starts and not again', async (t) => {
    const { app } = await startApp(t, {
      routes: async (scope) => {
        await scope.register(exampleRoutes)
        scope.post<{ Params: { name: string } }>('/call-me/:name', async (request) => {
          request.session.name = request.params.name
          return 'ok'
        })
      }
    })
    const visitor = new Visitor(app)
    assert.ok(setCookieOf(await visitor.post('/call-me/ada')))
    for (const name of ['grace', 'barbara']) {
      assert.equal(setCookieOf(await visitor.post(`/call-me/${name}`)), undefined)
      assert.equal((await visitor.get('/session')).json().name, name)
    }
  })
})

test('an answer to the old cookie does not touch the new one', async (t) => {
  const { app } = await startApp(t)
  const visitor = new Visitor(app)
  await visitor.get('/')
  const late = new Visitor(app, visitor.cookie)
  await visitor.post('/session', { name: 'ada' })
  assert.equal(setCookieOf(await late.get('/session')), undefined)
})

test('the session id comes from the cookie only', async (t) => {
  const { app } = await startApp(t, { env: { SESSION_SECRET: SECRET } })
  const visitor = new Visitor(app)
  await visitor.post('/session', { name: 'ada' })
  const value = visitor.cookie!
  const fields = { sid: value, '__Host-sid': value, sessionId: visitor.sessionId }
  const query = new URLSearchParams(fields).toString()
  const elsewhere = { ...fields, authorization: `Bearer ${value}`, 'set-cookie': `sid=${value}`, 'x-session': value }
  assert.equal((await app.inject({ url: `/session?${query}`, headers: elsewhere })).json().name, null)
  assert.equal((await app.inject({ url: `/session;sid=${value}` })).statusCode, 404)
  const signedIn = await app.inject({
    method: 'POST',
    url: `/session?${query}`,
    headers: { ...elsewhere, 'content-type': 'application/x-www-form-urlencoded' },
    payload: `name=eve&${query}`
  })
  assert.notEqual(decodeURIComponent(setCookieOf(signedIn)?.value ?? ''), decodeURIComponent(value))
  assert.equal((await visitor.get('/session')).json().name, 'ada')
})

/** An app whose secret changed after a visitor signed in. */
async function rotateSecret(t: TestContext) {
  const old = await startApp(t, { env: { SESSION_SECRET: OLD_SECRET } })
  const visitor = new Visitor(old.app)
  await visitor.post('/session', { name: 'ada' })
  await visitor.get('/session')
  const { app, redis } = await startApp(t, { redis: old.server, env: { SESSION_SECRET: `${SECRET},${OLD_SECRET}` } })
  return { app, redis, server: old.server, visitor, later: new Visitor(app, visitor.cookie) }
}
const signedBy = (secret: string, value: string) => new Signer(secret).unsign(decodeURIComponent(value)).valid

describe('a cookie signed by an older secret', () => {
  test('is still valid and is signed again with the next answer, without a longer lifetime', async (t) => {
    const { later, redis } = await rotateSecret(t)
    const { sessionId } = later
    const { createdAt } = JSON.parse((await redis.get(sessionKey(sessionId)))!)
    const response = await later.get('/session')
    assert.equal(response.json().name, 'ada')
    const { value, attributes } = setCookieOf(response)!
    assert.ok(signedBy(SECRET, value))
    const expires = Date.parse(/Expires=([^;]+)/.exec(attributes)![1]!)
    assert.equal(expires, Math.floor((createdAt + 12 * 3_600_000) / 1000) * 1000)
    for (const _ of [1, 2]) {
      const again = await later.get('/session')
      assert.equal(again.json().name, 'ada')
      assert.equal(setCookieOf(again), undefined, 'once is enough')
    }
    assert.equal(later.sessionId, sessionId)
  })

  test('costs one more command, once', async (t) => {
    const { later, redis } = await rotateSecret(t)
    assert.equal((await commandsDuring(redis, () => later.get('/session'))).exists, 1)
    assert.equal((await commandsDuring(redis, () => later.get('/session'))).exists, undefined)
  })

  test('is valid as long as the secret is listed, also for clients that keep it', async (t) => {
    const { app, server, visitor } = await rotateSecret(t)
    for (const _ of [1, 2, 3]) {
      assert.equal((await new Visitor(app, visitor.cookie).get('/session')).json().name, 'ada')
    }
    const renewed = new Visitor(app, visitor.cookie)
    await renewed.get('/session')
    const last = await startApp(t, { redis: server, env: { SESSION_SECRET: SECRET } })
    assert.equal((await new Visitor(last.app, visitor.cookie).get('/session')).json().name, null)
    assert.equal((await new Visitor(last.app, renewed.cookie).get('/session')).json().name, 'ada')
  })

  test('is not signed again when the handler throws or the session has ended meanwhile', async (t) => {
    const old = await startApp(t, { env: { SESSION_SECRET: OLD_SECRET } })
    const visitor = new Visitor(old.app)
    await visitor.post('/session', { name: 'ada' })
    const { app } = await startApp(t, {
      redis: old.server,
      env: { SESSION_SECRET: `${SECRET},${OLD_SECRET}` },
      routes: async (scope) => {
        scope.get('/throw', async () => {
          throw new Error('on purpose')
        })
        scope.get('/ended', async (request) => {
          await scope.sessions.end('ada')
          return request.session.name
        })
      }
    })
    const later = new Visitor(app, visitor.cookie)
    assert.equal(setCookieOf(await later.get('/throw')), undefined)
    const ended = await later.get('/ended')
    assert.equal(ended.body, 'ada')
    assert.equal(setCookieOf(ended), undefined)
  })

  test('is valid after ten thousand others: the cache of signatures is limited', async (t) => {
    const { app, visitor } = await rotateSecret(t)
    const signer = new Signer(SECRET)
    await new Visitor(app, visitor.cookie).get('/session')
    for (let i = 0; i < 101; i++) {
      const cookies = Array.from({ length: 100 }, (_, j) => `sid=${encodeURIComponent(signer.sign(`${i}-${j}`))}`)
      await Promise.all(cookies.map((cookie) => app.inject({ url: '/session', headers: { cookie } })))
    }
    const response = await new Visitor(app, visitor.cookie).get('/session')
    assert.equal(response.json().name, 'ada')
    assert.ok(signedBy(SECRET, setCookieOf(response)!.value))
  })
})
