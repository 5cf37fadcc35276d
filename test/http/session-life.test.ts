import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import exampleRoutes from '../../src/routes/index.ts'
import { sessionKey, startApp, Visitor } from '../helpers/app.ts'

const MINUTE = 60_000
const IDLE = 30 * MINUTE
/** Tolerance for times that pass while the test runs. */
const SLACK = MINUTE

/** Simulates time: shortens the TTL of every key in Redis. */
async function passes(redis: Redis, ms: number): Promise<void> {
  for (const key of await redis.keys('*')) {
    const left = await redis.pttl(key)
    if (left >= 0) await redis.pexpire(key, left - ms)
  }
}

async function assertLives(redis: Redis, key: string, ms: number): Promise<void> {
  const left = await redis.pttl(key)
  assert.ok(left <= ms && left > ms - SLACK, `${key} lives for ${left} ms more, not ${ms}`)
}

test('a session whose cookie has never come back lives ten minutes', async (t) => {
  const { app, redis } = await startApp(t)
  const visitor = new Visitor(app)
  await visitor.get('/')
  await assertLives(redis, sessionKey(visitor.sessionId), 10 * MINUTE)
})

test('a session that starts with a sign-in lives ten minutes too: clients without cookies cannot fill Redis', async (t) => {
  const { app, redis } = await startApp(t)
  const visitor = new Visitor(app)
  await visitor.post('/session', { name: 'ada' })
  await assertLives(redis, sessionKey(visitor.sessionId), 10 * MINUTE)
})

test('after the cookie has come back, every request extends the session to SESSION_IDLE', async (t) => {
  const { app, redis } = await startApp(t)
  const visitor = new Visitor(app)
  await visitor.get('/')
  for (const path of ['/', '/session']) {
    await redis.pexpire(sessionKey(visitor.sessionId), MINUTE)
    await visitor.get(path)
    await assertLives(redis, sessionKey(visitor.sessionId), IDLE)
  }
})

for (const path of ['/session', '/other']) {
  test(`visits live as long as their session, also one that is used on ${path} only`, async (t) => {
    const { app, redis } = await startApp(t, {
      routes: async (scope) => {
        await scope.register(exampleRoutes)
        scope.get('/other', async (request) => request.session.sessionId)
      }
    })
    const visitor = new Visitor(app)
    for (const _ of [1, 2, 3]) await visitor.get('/')
    for (const _ of [1, 2]) {
      await passes(redis, IDLE - SLACK)
      await visitor.get(path)
    }
    await passes(redis, IDLE - SLACK)
    assert.equal((await visitor.get('/')).json().visits, 4)
  })
}

test('no session lives longer than a SESSION_IDLE of less than ten minutes', async (t) => {
  const { app, redis } = await startApp(t, { env: { SESSION_IDLE: '5000' } })
  const visitor = new Visitor(app)
  for (const _ of [1, 2, 3]) {
    await visitor.get('/')
    assert.ok((await redis.pttl(sessionKey(visitor.sessionId))) <= 5000)
  }
})

test('a session that was not used for SESSION_IDLE ends, and its visitor gets a new one', async (t) => {
  const { app, redis } = await startApp(t)
  const visitor = new Visitor(app)
  await visitor.get('/')
  await visitor.get('/')
  const { sessionId } = visitor
  await passes(redis, IDLE - SLACK)
  assert.equal((await visitor.get('/')).json().visits, 3)
  await passes(redis, IDLE)
  assert.equal((await visitor.get('/')).json().visits, 1)
  assert.notEqual(visitor.sessionId, sessionId)
})

test('a session ends SESSION_MAX_AGE after its start, however much it is used', async (t) => {
  const maxAge = 60 * MINUTE
  const { app, redis } = await startApp(t, { env: { SESSION_MAX_AGE: `${maxAge}` } })
  const visitor = new Visitor(app)
  await visitor.post('/session', { name: 'ada' })
  const key = sessionKey(visitor.sessionId)
  /** Makes a session look as if it started earlier. */
  const age = async (ms: number) => {
    const stored = (await redis.get(key))!
    const { createdAt } = JSON.parse(stored)
    await redis.set(key, stored.replace(`"createdAt":${createdAt}`, `"createdAt":${Date.now() - ms}`), 'KEEPTTL')
  }
  await age(maxAge - MINUTE)
  assert.equal((await visitor.get('/session')).json().name, 'ada')
  await age(maxAge + 1)
  assert.deepEqual((await visitor.get('/session')).json(), { visits: 0, name: null, createdAt: null })
})

test('a session in constant use ends then too, and leaves nothing in Redis', async (t) => {
  const maxAge = 2000
  const env = { SESSION_MAX_AGE: `${maxAge}`, SESSION_IDLE: `${maxAge}` }
  const { app, redis } = await startApp(t, {
    env,
    routes: async (scope) => {
      await scope.register(exampleRoutes)
      scope.post<{ Params: { text: string } }>('/note/:text', async (request) => {
        request.session.visits = Number(request.params.text)
        return { name: request.session.name }
      })
    }
  })
  const visitor = new Visitor(app)
  const began = performance.now()
  await visitor.post('/session', { name: 'ada' })
  const { cookie } = visitor
  const key = sessionKey(visitor.sessionId)
  for (let i = 0; ; i++) {
    // Concurrently, so that they are merged.
    const answers = await Promise.all([1, 2].map((n) => new Visitor(app, cookie).post(`/note/${10 * i + n}`)))
    const names = answers.map((answer) => answer.json().name)
    if (!names.includes('ada')) break
    assert.ok(performance.now() - began < 10 * maxAge, 'it goes on and on')
  }
  assert.ok(performance.now() - began >= maxAge - 10, 'too early')
  assert.equal(await redis.exists(key), 0)
  assert.equal((await new Visitor(app, cookie).get('/session')).json().name, null)
})

test('a write to a session that has just become too old is not stored', async (t) => {
  const { app, redis } = await startApp(t, {
    env: { SESSION_MAX_AGE: '1000', SESSION_IDLE: '1000' },
    routes: async (scope) => {
      scope.post<{ Params: { visits: string; ms: string } }>('/visits/:visits/:ms', async ({ session, params }) => {
        await sleep(Number(params.ms))
        session.visits = Number(params.visits)
        return 'ok'
      })
    }
  })
  const visitor = new Visitor(app)
  await visitor.post('/visits/1/0')
  const key = sessionKey(visitor.sessionId)
  await sleep(500)
  // Read in time, so that Redis keeps it for another second.
  const late = await visitor.post('/visits/2/600')
  assert.equal(late.statusCode, 200)
  const kept = await redis.get(key)
  assert.ok(kept === null || JSON.parse(kept).visits === 1, `${kept}`)
})

test('a change of the session does not restart its lifetime', async (t) => {
  const { app, redis } = await startApp(t, {
    routes: async (scope) => {
      scope.post<{ Params: { name: string } }>('/call-me/:name', async (request) => {
        request.session.name = request.params.name
        return 'ok'
      })
    }
  })
  const visitor = new Visitor(app)
  const stored = async () => JSON.parse((await redis.get(sessionKey(visitor.sessionId)))!)
  await visitor.post('/call-me/ada')
  const { createdAt } = await stored()
  while (Date.now() === createdAt) await new Promise(setImmediate)
  await visitor.post('/call-me/grace')
  const { name, createdAt: later } = await stored()
  assert.deepEqual([name, later], ['grace', createdAt])
})

test('all session keys in Redis expire; the hit counter and its batches do not', async (t) => {
  const { app, redis } = await startApp(t)
  const visitor = new Visitor(app)
  await visitor.get('/')
  await visitor.get('/')
  await visitor.post('/session', { name: 'ada' })
  await visitor.get('/')
  for (const key of await redis.keys('*')) {
    const endless = ['muster:hits', '{muster:hits}:batches', 'muster:session-secret'].includes(key)
    assert.equal((await redis.pttl(key)) === -1, endless, key)
  }
})
