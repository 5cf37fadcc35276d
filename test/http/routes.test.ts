import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sessionKey, startApp, Visitor } from '../helpers/app.ts'

test('GET / counts one hit and one visit of the session, and names the serving worker', async (t) => {
  const { app, redis } = await startApp(t, { slot: 3 })
  const visitor = new Visitor(app)
  for (const count of [1, 2, 3]) {
    const response = await visitor.get('/')
    assert.equal(response.statusCode, 200)
    assert.match(response.headers['content-type'] as string, /^application\/json/)
    const worker = { slot: 3, pid: process.pid, generation: 1 }
    assert.deepEqual(response.json(), { hits: count, visits: count, worker, host: 'test-host' })
  }
  const stranger = await new Visitor(app).get('/')
  assert.equal(stranger.json().hits, 4)
  assert.equal(stranger.json().visits, 1)
  assert.equal(await redis.get('muster:hits'), '4')
})

test('POST /hits counts one hit and returns its number; GET /hits reads without counting', async (t) => {
  const { app, redis } = await startApp(t)
  const visitor = new Visitor(app)
  assert.deepEqual((await visitor.get('/hits')).json(), { hits: 0 })
  for (const hits of [1, 2]) {
    const response = await visitor.post('/hits')
    assert.equal(response.statusCode, 200)
    assert.deepEqual(response.json(), { hits })
  }
  for (const _ of [1, 2]) assert.deepEqual((await visitor.get('/hits')).json(), { hits: 2 })
  assert.equal(await redis.get('muster:hits'), '2')
})

test('counting continues from the value in Redis', async (t) => {
  const { app, redis } = await startApp(t)
  await redis.set('muster:hits', 41)
  assert.deepEqual((await new Visitor(app).post('/hits')).json(), { hits: 42 })
})

test('GET /session describes the session: before it exists, while it exists, and with a name', async (t) => {
  const { app } = await startApp(t)
  const visitor = new Visitor(app)
  assert.deepEqual((await visitor.get('/session')).json(), { visits: 0, name: null, createdAt: null })
  await visitor.get('/')
  await visitor.get('/')
  const before = Date.now()
  const { createdAt, ...known } = (await visitor.get('/session')).json()
  assert.deepEqual(known, { visits: 2, name: null })
  assert.ok(createdAt <= before && createdAt > before - 60_000, `created at ${createdAt}`)
  await visitor.post('/session', { name: 'ada' })
  const named = (await visitor.get('/session')).json()
  assert.deepEqual({ visits: named.visits, name: named.name }, { visits: 2, name: 'ada' })
})

test('POST /session signs in, returns the session and keeps its visits', async (t) => {
  const { app, redis } = await startApp(t)
  const visitor = new Visitor(app)
  await visitor.get('/')
  const response = await visitor.post('/session', { name: 'Ada Lovelace' })
  assert.equal(response.statusCode, 200)
  const { createdAt, ...session } = response.json()
  assert.deepEqual(session, { visits: 1, name: 'Ada Lovelace' })
  assert.equal(typeof createdAt, 'number')
  assert.equal((await visitor.get('/')).json().visits, 2)
  assert.equal(JSON.parse((await redis.get(sessionKey(visitor.sessionId)))!).name, 'Ada Lovelace')
})

for (const [method, path] of [
  ['DELETE', '/session'],
  ['POST', '/session/sign-out']
] as const) {
  test(`${method} ${path} signs out: the session is deleted in Redis and in the browser`, async (t) => {
    const { app, redis } = await startApp(t)
    const visitor = new Visitor(app)
    await visitor.post('/session', { name: 'ada' })
    await visitor.get('/')
    const response = await visitor.request({ method, path })
    assert.equal(response.statusCode, 204)
    assert.equal(response.body, '')
    assert.equal(visitor.cookie, undefined, 'the browser keeps the cookie')
    assert.deepEqual(await redis.keys('*session:*'), [])
    assert.equal((await visitor.get('/session')).json().name, null)
  })

  test(`${method} ${path} without a session is not an error`, async (t) => {
    const { app } = await startApp(t)
    assert.equal((await new Visitor(app).request({ method, path })).statusCode, 204)
  })
}

test('an answer of / is never cached, and varies with Accept', async (t) => {
  const { app } = await startApp(t)
  for (const accept of ['text/html', '*/*']) {
    const { headers } = await new Visitor(app).get('/', { accept })
    assert.equal(headers['cache-control'], 'no-store')
    assert.equal(headers.vary, 'accept')
  }
})

test('a trailing slash does not change the path', async (t) => {
  const { app } = await startApp(t)
  assert.deepEqual((await new Visitor(app).post('/hits/')).json(), { hits: 1 })
})
