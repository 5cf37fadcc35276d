import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Signer } from '@fastify/cookie'
import type { FastifyPluginAsync } from 'fastify'
import exampleRoutes from '../../src/routes/index.ts'
import { sessionKey, startApp, Visitor } from '../helpers/app.ts'
import { until } from '../helpers/until.ts'

const SECRET = 'correct-horse-battery-staple-2026'
const signed = (id: string) => encodeURIComponent(new Signer(SECRET).sign(id))
declare module 'fastify' {
  interface Session {
    note?: string
    first?: string
    second?: string
  }
}

test('what is in Redis but is no session is taken for none; the log says so once, and not the id', async (t) => {
  const lines: string[] = []
  const onLog = (line: string) => lines.push(line)
  const { app, redis } = await startApp(t, { env: { SESSION_SECRET: SECRET }, onLog })
  const garbage = ['{"cookie":', 'null', '7', '"text"', '[]', '{}', '{"cookie":null}', '{"cookie":7}', '', '\xff']
  const almost = ['{"cookie":{},"createdAt":"now"}', `{"cookie":{},"createdAt":${Date.now()},"_v":"x"}`]
  for (const [i, text] of [...garbage, ...almost].entries()) {
    const id = `damaged-${i}`
    await redis.set(sessionKey(id), text)
    lines.length = 0
    for (const _ of [1, 2, 3]) {
      assert.equal((await new Visitor(app, signed(id)).get('/session')).json().name, null, text)
    }
    const visitor = new Visitor(app, signed(id))
    assert.equal((await visitor.get('/')).json().visits, 1, text)
    assert.notEqual(visitor.sessionId, id, text)
    assert.equal((await visitor.get('/')).json().visits, 2, 'the new session')
    assert.equal(lines.filter((line) => line.includes('not readable')).length, 1, text)
    assert.ok(!lines.join('').includes(id), 'its id')
  }
})

test('so is a key that holds something else than text', async (t) => {
  const { app, redis } = await startApp(t, { env: { SESSION_SECRET: SECRET } })
  await redis.rpush(sessionKey('a-list'), 'text')
  const visitor = new Visitor(app, signed('a-list'))
  assert.equal((await visitor.get('/session')).json().name, null)
  assert.equal((await visitor.get('/')).json().visits, 1)
  assert.notEqual(visitor.sessionId, 'a-list')
})

test('a handler that throws saves nothing: neither a new session nor a change of one', async (t) => {
  const { app, redis } = await startApp(t, {
    routes: async (scope) => {
      scope.get('/note/:text', async (request) => {
        request.session.note = (request.params as { text: string }).text
        if (request.session.note === 'bad') throw new Error('on purpose')
        return 'ok'
      })
      scope.get('/note', async (request) => request.session.note ?? 'none')
    }
  })
  const visitor = new Visitor(app)
  const failed = await visitor.get('/note/bad')
  assert.equal(failed.statusCode, 500)
  assert.equal(failed.headers['set-cookie'], undefined)
  assert.deepEqual(await redis.keys('*session:*'), [])

  await visitor.get('/note/good')
  assert.equal((await visitor.get('/note/bad')).statusCode, 500)
  assert.equal((await visitor.get('/note')).body, 'good')
})

/** Routes that do to a session what a careless handler does; two of them wait in the middle, until they are let go. */
function careless() {
  const waiting: (() => void)[] = []
  const pause = () => new Promise<void>((resolve) => waiting.push(resolve))
  const routes: FastifyPluginAsync = async (scope) => {
    scope.post('/assign', async (request) => {
      Object.assign(request.session, request.body)
      return 'ok'
    })
    scope.post('/empty', async (request) => {
      for (const key of Object.keys(request.session)) delete request.session[key as 'note']
      await pause()
      return 'ok'
    })
    scope.post('/save-twice', async (request) => {
      await pause()
      request.session.first = 'mine'
      await request.session.save()
      await pause()
      request.session.second = 'mine'
      return 'ok'
    })
  }
  /** Somebody with a session that has two keys; `again` makes a request of the same session. */
  const start = async (t: TestContext, env: Record<string, string> = {}) => {
    const started = await startApp(t, { routes, env })
    const visitor = new Visitor(started.app)
    await visitor.post('/assign', { first: '1', second: '2' })
    const again = (path: string, body?: object) => new Visitor(started.app, visitor.cookie).post(path, body)
    const data = async () => JSON.parse((await started.redis.get(sessionKey(visitor.sessionId)))!)
    return { ...started, visitor, again, data }
  }
  const waits = () => until(() => waiting.length > 0, 'the request')
  return { start, waits, letGo: () => waiting.shift()!() }
}

test('a body that is copied into the session moves neither its end nor its version', async (t) => {
  const { again, data } = await careless().start(t)
  const before = await data()
  const forged = { note: 'x', createdAt: 9e15, _v: 0, _base: null, cookie: null, sneaky: { _v: 1 } }
  assert.equal((await again('/assign', forged)).statusCode, 200)
  const { note, createdAt, _v, cookie } = await data()
  assert.deepEqual({ note, createdAt, _v, cookie }, { note: 'x', createdAt: before.createdAt, _v: 2, cookie: {} })
  await again('/assign', { note: 'y' })
  assert.equal((await data()).note, 'y')
})

test('a session that a handler empties is empty, but for what others set meanwhile', async (t) => {
  const { start, waits, letGo } = careless()
  const { again, data } = await start(t)
  const emptied = again('/empty')
  await waits()
  await again('/assign', { note: 'kept' })
  letGo()
  assert.equal((await emptied).statusCode, 200)
  const { cookie, createdAt, _v, ...left } = await data()
  assert.deepEqual(left, { note: 'kept' })
})

test('one that is ended while a handler empties it does not come back', async (t) => {
  const { start, waits, letGo } = careless()
  const { again, redis, visitor } = await start(t)
  const emptied = again('/empty')
  await waits()
  await redis.del(sessionKey(visitor.sessionId))
  letGo()
  assert.equal((await emptied).statusCode, 200)
  assert.equal(await redis.exists(sessionKey(visitor.sessionId)), 0)
})

test('a request that saves twice overwrites nothing that others wrote before and in between', async (t) => {
  const { start, waits, letGo } = careless()
  const { again, data } = await start(t)
  const twice = again('/save-twice')
  await waits()
  await again('/assign', { third: 'before' })
  letGo()
  await waits()
  await again('/assign', { first: 'between', note: 'between' })
  letGo()
  assert.equal((await twice).statusCode, 200)
  const { cookie, createdAt, _v, ...kept } = await data()
  assert.deepEqual(kept, { first: 'between', second: 'mine', third: 'before', note: 'between' })
})

test('what a handler reads and does after signing out: nobody is there, and nothing is kept', async (t) => {
  const { app, redis } = await startApp(t, {
    routes: async (scope) => {
      await scope.register(exampleRoutes)
      scope.post('/leave', async (request, reply) => {
        await scope.sessions.signOut(request, reply)
        request.session.note = 'too late'
        return { name: request.session.name ?? null }
      })
    }
  })
  for (const visitor of [new Visitor(app), new Visitor(app)]) {
    assert.deepEqual((await visitor.post('/leave')).json(), { name: null })
    await visitor.post('/session', { name: 'ada' })
    assert.deepEqual((await visitor.post('/leave')).json(), { name: null })
    assert.equal(visitor.cookie, undefined)
    assert.deepEqual(await redis.keys('*session:*'), [])
  }
})

test('visits that are counted while somebody signs in are counted, before or after', async (t) => {
  const { app } = await startApp(t)
  for (let round = 0; round < 10; round++) {
    const visitor = new Visitor(app)
    for (let i = 0; i < 5; i++) await visitor.get('/')
    const visits: ReturnType<Visitor['get']>[] = []
    let signedIn: Awaited<ReturnType<Visitor['post']>> | undefined
    const { cookie } = visitor
    const signingIn = visitor.post('/session', { name: 'ada' }).then((answer) => {
      signedIn = answer
    })
    // One in each turn of the event loop, so that some come in the middle of it.
    while (!signedIn) {
      visits.push(new Visitor(app, cookie).get('/'))
      await new Promise(setImmediate)
    }
    await signingIn
    const answers = await Promise.all(visits)
    // A request whose session was gone when it counted says 2, of a session that nobody has.
    const counted = answers.map((answer) => answer.json().visits as number).filter((visits) => visits > 5)
    assert.equal(signedIn.json().visits, Math.max(5, ...counted), `round ${round}`)
  }
})
