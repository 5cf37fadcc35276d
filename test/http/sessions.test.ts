import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Signer } from '@fastify/cookie'
import { sessionKey, sessionKeys, setCookieOf, startApp, Visitor } from '../helpers/app.ts'
import { until } from '../helpers/until.ts'

const SECRET = 'correct-horse-battery-staple-2026'
const OLD_SECRET = 'tr0ub4dor-and-three-of-its-friends'

/** A cookie for this id with a valid signature. */
const signed = (id: string, secret = SECRET) => encodeURIComponent(new Signer(secret).sign(id))

test('the cookie is HttpOnly, SameSite=Lax, and lasts as long as a session may', async (t) => {
  const { app } = await startApp(t, { env: { SESSION_MAX_AGE: '7200000' } })
  const response = await new Visitor(app).get('/')
  const { attributes } = setCookieOf(response)!
  assert.match(attributes, /; HttpOnly/)
  assert.match(attributes, /; SameSite=Lax/)
  assert.match(attributes, /; Path=\//)
  const expires = Date.parse(/Expires=([^;]+)/.exec(attributes)![1]!)
  assert.ok(Math.abs(expires - Date.now() - 7_200_000) < 60_000, attributes)
})

test('signing in changes the session id, and the old id is invalid', async (t) => {
  const { app, redis } = await startApp(t)
  const visitor = new Visitor(app)
  await visitor.get('/')
  const before = visitor.cookie!
  const oldId = visitor.sessionId
  await visitor.post('/session', { name: 'ada' })
  assert.notEqual(visitor.sessionId, oldId)
  assert.deepEqual(await sessionKeys(redis), [sessionKey(visitor.sessionId)], 'the old one, or its counter')
  const record = `{${sessionKey(oldId)}}:renewed`
  await until(async () => (await redis.hlen(record)) === 2, 'the end of what was in the old one')
  assert.deepEqual(await redis.hgetall(record), { to: visitor.sessionId, counted: '0' })
  const thief = new Visitor(app, before)
  assert.deepEqual((await thief.get('/session')).json(), { visits: 0, name: null, createdAt: null })
})

test('signing in again changes the name and the id once more', async (t) => {
  const { app, redis } = await startApp(t)
  const visitor = new Visitor(app)
  await visitor.post('/session', { name: 'ada' })
  const first = visitor.sessionId
  assert.equal((await visitor.post('/session', { name: 'grace' })).json().name, 'grace')
  assert.notEqual(visitor.sessionId, first)
  assert.equal((await visitor.get('/session')).json().name, 'grace')
  assert.equal((await sessionKeys(redis)).length, 1)
})

test('a cookie that is sent again after signing out gives no access, however often it is tried', async (t) => {
  const { app, redis } = await startApp(t)
  const visitor = new Visitor(app)
  await visitor.post('/session', { name: 'ada' })
  await visitor.get('/')
  const kept = visitor.cookie!
  await visitor.delete('/session')
  for (const path of ['/session', '/', '/session']) {
    const response = await new Visitor(app, kept).get(path)
    assert.equal(response.json().name ?? null, null)
    assert.ok(response.json().visits <= 1)
  }
  assert.equal(await redis.exists(sessionKey(decodeURIComponent(kept).split('.')[0]!)), 0)
})

test('sessions are valid in every worker and outlive all workers', async (t) => {
  const first = await startApp(t, { slot: 0 })
  const second = await startApp(t, { slot: 1, redis: first.server })
  const visitor = new Visitor(first.app)
  await visitor.post('/session', { name: 'ada' })
  const elsewhere = new Visitor(second.app, visitor.cookie)
  assert.equal((await elsewhere.get('/session')).json().name, 'ada')
  await Promise.all([first.app.close(), second.app.close()])
  const reborn = await startApp(t, { redis: first.server })
  assert.equal((await new Visitor(reborn.app, visitor.cookie).get('/session')).json().name, 'ada')
})

test('an id that is not in Redis is never adopted, even with a valid signature', async (t) => {
  const { app, redis } = await startApp(t, { env: { SESSION_SECRET: SECRET } })
  for (const path of ['/', '/session']) {
    const visitor = new Visitor(app, signed('chosen-by-an-attacker'))
    await visitor.get(path)
    if (path === '/') assert.notEqual(visitor.sessionId, 'chosen-by-an-attacker')
  }
  const visitor = new Visitor(app, signed('chosen-by-an-attacker'))
  await visitor.post('/session', { name: 'ada' })
  assert.notEqual(visitor.sessionId, 'chosen-by-an-attacker')
  assert.equal(await redis.exists(sessionKey('chosen-by-an-attacker')), 0)
})

test('an id that is in Redis gives no access without its signature', async (t) => {
  const { app, redis } = await startApp(t, { env: { SESSION_SECRET: SECRET } })
  const victim = new Visitor(app)
  await victim.post('/session', { name: 'ada' })
  const id = victim.sessionId
  assert.equal(victim.cookie, signed(id), 'the cookie is signed as this test does it')
  const forged = [
    id,
    `${id}.`,
    `${id}.AAAA`,
    signed(id, OLD_SECRET),
    signed(id).slice(0, -1),
    `${signed(id)}x`,
    '',
    '%%%'
  ]
  for (const cookie of forged) {
    const response = await new Visitor(app, cookie).get('/session')
    assert.equal(response.statusCode, 200, cookie)
    assert.equal(response.json().name, null, cookie)
  }
  assert.equal((await redis.keys('*session:*')).length, 1)
})

test('without SESSION_SECRET one secret is generated and shared by all workers', async (t) => {
  const first = await startApp(t)
  const second = await startApp(t, { redis: first.server, slot: 1 })
  const visitor = new Visitor(first.app)
  await visitor.post('/session', { name: 'ada' })
  assert.equal((await new Visitor(second.app, visitor.cookie).get('/session')).json().name, 'ada')
  assert.match((await first.redis.get('muster:session-secret'))!, /^[0-9a-f]{64}$/)
})
