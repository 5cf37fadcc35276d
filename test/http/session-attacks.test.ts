import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { Signer } from '@fastify/cookie'
import { commandsDuring, sessionKey, setCookieOf, startApp, Visitor } from '../helpers/app.ts'

const SECRET = 'correct-horse-battery-staple-2026'

test('guessed session ids cost Redis nothing: only ids with a valid signature are looked up', async (t) => {
  const { app, redis } = await startApp(t, { env: { SESSION_SECRET: SECRET } })
  const victim = new Visitor(app)
  await victim.post('/session', { name: 'ada' })
  const [id, signature] = decodeURIComponent(victim.cookie!).split('.') as [string, string]
  const guesses = [
    id,
    `${id}.`,
    `${id}.${signature.slice(0, -1)}`,
    `${id}.${'A'.repeat(signature.length)}`,
    `.${signature}`,
    `${id.slice(0, -1)}${id.endsWith('A') ? 'B' : 'A'}.${signature}`,
    new Signer('another-horse-battery-staple-2026').sign(id),
    ...Array.from(
      { length: 200 },
      () => `${randomBytes(24).toString('base64url')}.${randomBytes(32).toString('base64url')}`
    )
  ]
  const commands = await commandsDuring(redis, async () => {
    for (const guess of guesses) {
      const answer = await new Visitor(app, encodeURIComponent(guess)).get('/session')
      assert.deepEqual([answer.statusCode, answer.json().name], [200, null], guess)
    }
  })
  for (const reading of ['get', 'getex', 'evalsha', 'eval']) assert.equal(commands[reading], undefined, reading)
})

test('an id is long and random, and a client cannot choose its own', async (t) => {
  const { app, redis } = await startApp(t, { env: { SESSION_SECRET: SECRET } })
  const ids = await Promise.all(
    Array.from({ length: 50 }, async () => {
      const visitor = new Visitor(app)
      await visitor.get('/')
      return visitor.sessionId
    })
  )
  assert.equal(new Set(ids).size, 50)
  for (const id of ids) assert.ok(Buffer.from(id, 'base64url').length >= 16, `${id} has 128 bits`)

  const planted = new Visitor(app, encodeURIComponent(new Signer(SECRET).sign('planted-by-somebody')))
  await planted.post('/session', { name: 'ada' })
  assert.notEqual(planted.sessionId, 'planted-by-somebody')
  assert.equal(await redis.exists(sessionKey('planted-by-somebody')), 0)
})

test('a session id is read from the cookie only', async (t) => {
  const { app } = await startApp(t)
  const victim = new Visitor(app)
  await victim.post('/session', { name: 'ada' })
  const id = decodeURIComponent(victim.cookie!)
  const places = [
    { url: `/session?sid=${victim.cookie}&sessionId=${victim.sessionId}` },
    { url: '/session', headers: { sid: id, authorization: `Bearer ${id}`, 'x-session-id': victim.sessionId } },
    { url: '/session', headers: { cookie: `SID=${victim.cookie}; sid2=${victim.cookie}` } }
  ]
  for (const place of places) assert.equal((await app.inject(place)).json().name, null)
  const other = new Visitor(app)
  await other.post('/session', { name: 'eve', sid: id, sessionId: victim.sessionId })
  assert.notEqual(other.sessionId, victim.sessionId)
  assert.equal((await victim.get('/session')).json().name, 'ada')
})

test("answers with session data are not cached, and a sign-out clears the browser's cache and storage", async (t) => {
  const { app } = await startApp(t)
  const visitor = new Visitor(app)
  for (const answer of [
    await visitor.get('/'),
    await visitor.post('/session', { name: 'ada' }),
    await visitor.get('/session')
  ]) {
    assert.equal(answer.headers['cache-control'], 'no-store')
  }
  const out = await visitor.delete('/session')
  assert.equal(setCookieOf(out)?.gone, true)
  assert.equal(out.headers['clear-site-data'], '"cache", "storage"')
})

test('HSTS is sent over https only', async (t) => {
  const { app } = await startApp(t, { env: { TRUST_PROXY: '203.0.113.1' } })
  const hsts = async (remoteAddress: string) => {
    const answer = await app.inject({ url: '/livez', remoteAddress, headers: { 'x-forwarded-proto': 'https' } })
    return answer.headers['strict-transport-security']
  }
  assert.match(String(await hsts('203.0.113.1')), /^max-age=\d{8,}/)
  assert.equal(await hsts('203.0.113.2'), undefined)
})
