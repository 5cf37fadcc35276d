import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import exampleRoutes from '../../src/routes/index.ts'
import { commandsDuring, sessionKey, startApp, Visitor } from '../helpers/app.ts'
import { until } from '../helpers/until.ts'

const MINUTE = 60_000
const indexKeys = (redis: Redis) => redis.keys('muster:user:*')

/** Signs in and sends the cookie again. */
async function signIn(visitor: Visitor, name: string): Promise<Visitor> {
  await visitor.post('/session', { name })
  await visitor.get('/session')
  return visitor
}

test('the sessions of a user are listed with their age, lifetime and a handle that gives no access', async (t) => {
  const { app, redis } = await startApp(t)
  const began = Date.now()
  assert.deepEqual(await app.sessions.list('ada'), [])
  const visitors = [await signIn(new Visitor(app), 'ada'), await signIn(new Visitor(app), 'ada')]
  await signIn(new Visitor(app), 'grace')
  const list = await app.sessions.list('ada')
  assert.equal(list.length, 2)
  for (const view of list) {
    assert.deepEqual(Object.keys(view).sort(), ['createdAt', 'handle', 'idleLeftMs'])
    assert.match(view.handle, /^[0-9a-f]{12}$/)
    assert.ok(view.createdAt >= began && view.createdAt <= Date.now())
    assert.ok(view.idleLeftMs > 29 * MINUTE && view.idleLeftMs <= 30 * MINUTE)
  }
  for (const { sessionId } of visitors) assert.ok(!JSON.stringify(list).includes(sessionId.slice(0, 12)))
  const thief = new Visitor(app, list[0]!.handle)
  assert.equal((await thief.get('/session')).json().name, null)
  assert.equal((await indexKeys(redis)).length, 2, 'one key a user')
})

test('a list starts with the most recently used session', async (t) => {
  const { app, redis } = await startApp(t)
  const visitors = [await signIn(new Visitor(app), 'ada'), await signIn(new Visitor(app), 'ada')]
  for (const used of visitors) {
    for (const { sessionId } of visitors) await redis.pexpire(sessionKey(sessionId), MINUTE)
    await used.get('/session')
    const [first, second] = await app.sessions.list('ada')
    assert.ok(first!.idleLeftMs > MINUTE && second!.idleLeftMs <= MINUTE)
  }
})

test('listing does not extend sessions', async (t) => {
  const { app, redis } = await startApp(t)
  const visitor = await signIn(new Visitor(app), 'ada')
  await redis.pexpire(sessionKey(visitor.sessionId), MINUTE)
  assert.ok((await app.sessions.list('ada'))[0]!.idleLeftMs <= MINUTE)
  assert.ok((await redis.pttl(sessionKey(visitor.sessionId))) <= MINUTE)
})

test('one session is ended by its handle, or all sessions of a user; other users keep theirs', async (t) => {
  const { app, redis } = await startApp(t)
  const [first, second, third] = [new Visitor(app), new Visitor(app), new Visitor(app)]
  for (const visitor of [first, second, third]) await signIn(visitor, 'ada')
  const grace = await signIn(new Visitor(app), 'grace')
  const nameOf = async (visitor: Visitor) => (await new Visitor(app, visitor.cookie).get('/session')).json().name

  const [{ handle } = { handle: '' }] = await app.sessions.list('ada')
  assert.equal(await app.sessions.end('grace', handle), 0, 'of another user')
  assert.equal(await app.sessions.end('ada', '000000000000'), 0)
  assert.equal(await app.sessions.end('ada', handle), 1)
  assert.equal(await app.sessions.end('ada', handle), 0, 'again')
  assert.equal((await app.sessions.list('ada')).length, 2)
  const names = await Promise.all([first, second, third].map(nameOf))
  assert.deepEqual(names.sort(), ['ada', 'ada', null])

  assert.equal(await app.sessions.end('ada'), 2)
  assert.deepEqual(await app.sessions.list('ada'), [])
  for (const visitor of [first, second, third]) assert.equal(await nameOf(visitor), null)
  assert.equal(await nameOf(grace), 'grace')
  assert.equal((await redis.keys('*session:*')).length, 1, 'sessions and counters: those of grace')
})

test('a request in flight does not bring back a session that was ended', async (t) => {
  let letGo: (() => void) | undefined
  const { app, redis } = await startApp(t, {
    routes: async (scope) => {
      await scope.register(exampleRoutes)
      scope.post('/slow', async (request) => {
        await new Promise<void>((resolve) => {
          letGo = resolve
        })
        request.session.visits = 7
        return 'ok'
      })
    }
  })
  const visitor = await signIn(new Visitor(app), 'ada')
  const inFlight = new Visitor(app, visitor.cookie).post('/slow')
  await until(() => letGo, 'the request')
  assert.equal(await app.sessions.end('ada'), 1)
  letGo!()
  assert.equal((await inFlight).statusCode, 200)
  assert.equal(await redis.exists(sessionKey(visitor.sessionId)), 0)
  assert.deepEqual(await app.sessions.list('ada'), [])
})

test('sessions that ended otherwise are not listed, and listing removes their entries', async (t) => {
  const { app, redis } = await startApp(t)
  const [out, expired, stays] = [new Visitor(app), new Visitor(app), new Visitor(app)]
  for (const visitor of [out, expired, stays]) await signIn(visitor, 'ada')
  await out.delete('/session')
  await redis.del(sessionKey(expired.sessionId))
  const [key = ''] = await indexKeys(redis)
  assert.equal(await redis.zcard(key), 3)
  assert.equal((await app.sessions.list('ada')).length, 1)
  assert.deepEqual(await redis.zrange(key, '0', '-1'), [stays.sessionId])
})

test('signing in again, also as another user, leaves one session, that of the new user', async (t) => {
  const { app } = await startApp(t)
  const visitor = await signIn(new Visitor(app), 'ada')
  await signIn(visitor, 'grace')
  assert.deepEqual(await app.sessions.list('ada'), [])
  await signIn(visitor, 'grace')
  assert.equal((await app.sessions.list('grace')).length, 1)
})

test('a user may have any name', async (t) => {
  const { app, redis } = await startApp(t)
  const names = ['}{', 'a:b', '*', '__proto__', 'Ada Lovelace', '💚', 'A', 'a', '\n.', "'; DROP TABLE users"]
  for (const name of names) await signIn(new Visitor(app), name)
  for (const name of names) assert.equal((await app.sessions.list(name)).length, 1, name)
  const keys = await indexKeys(redis)
  assert.equal(keys.length, names.length)
  for (const key of keys) assert.match(key, /^muster:user:\{[\w-]{43}\}:sessions$/, 'one hash tag')
  for (const name of names) assert.equal(await app.sessions.end(name), 1, name)
})

test('clients that sign in and never come back leave nothing after a quarter of an hour', async (t) => {
  const { app, redis } = await startApp(t)
  for (let i = 0; i < 20; i++) await new Visitor(app).post('/session', { name: `user ${i % 2}` })
  for (const key of await redis.keys('*')) {
    if (key.includes('session-secret')) continue
    const left = await redis.pttl(key)
    assert.ok(left > 0 && left <= 15 * MINUTE, `${key} lives for ${left} ms`)
  }
  const [key = ''] = await indexKeys(redis)
  // Fifteen minutes later.
  for (const id of await redis.zrange(key, '0', '-1')) await redis.zincrby(key, -15 * MINUTE, id)
  assert.equal(await redis.zcard(key), 10)
  await new Visitor(app).post('/session', { name: 'user 0' })
  await new Visitor(app).post('/session', { name: 'user 1' })
  assert.equal(await redis.zcard(key), 1, 'the next one to sign in clears them away')
})

test('a session in use stays in the list beyond SESSION_IDLE; an idle one leaves it', async (t) => {
  const { app, redis } = await startApp(t, { env: { SESSION_IDLE: '3000' } })
  const visitor = await signIn(new Visitor(app), 'ada')
  const began = performance.now()
  while (performance.now() - began < 6500) {
    await sleep(50)
    assert.equal((await visitor.get('/session')).json().name, 'ada')
    assert.equal((await app.sessions.list('ada')).length, 1)
  }
  await until(async () => (await indexKeys(redis)).length === 0, 'the end of the index')
  assert.equal(await redis.exists(sessionKey(visitor.sessionId)), 0)
})

test('no list entry expires before its session, whichever worker serves it', async (t) => {
  const first = await startApp(t)
  const { redis } = first
  const visitor = await signIn(new Visitor(first.app), 'ada')
  const [key = ''] = await indexKeys(redis)
  for (const slot of [1, 2]) {
    await redis.zincrby(key, -20 * MINUTE, visitor.sessionId)
    const other = await startApp(t, { redis: first.server, slot })
    await new Visitor(other.app, visitor.cookie).get('/session')
    await until(async () => {
      const score = Number(await redis.zscore(key, visitor.sessionId))
      return score >= Date.now() + (await redis.pttl(sessionKey(visitor.sessionId))) && (await redis.pttl(key)) > 0
    }, 'the entry')
  }
})

test('the list costs a signed-in visitor one command per worker in five minutes, and other visitors none', async (t) => {
  const { app, redis } = await startApp(t)
  const visitor = await signIn(new Visitor(app), 'ada')
  assert.equal((await commandsDuring(redis, () => visitor.get('/session'))).zadd, undefined)
  const stranger = new Visitor(app)
  await stranger.get('/')
  assert.equal((await commandsDuring(redis, () => stranger.get('/'))).zadd, undefined)
})
