import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Signer } from '@fastify/cookie'
import type { FastifyPluginAsync } from 'fastify'
import exampleRoutes from '../../src/routes/index.ts'
import { sessionKey, sessionKeys, startApp, Visitor } from '../helpers/app.ts'
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

test('invalid session data in Redis counts as no session, and is logged once without the id', async (t) => {
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
    assert.equal(lines.filter((line) => line.includes('unreadable session')).length, 1, text)
    assert.ok(!lines.join('').includes(id), 'its id')
  }
})

test('a session whose version is not its last member counts as none: the visitor gets a new session, not 503', async (t) => {
  const { app, redis } = await startApp(t, { env: { SESSION_SECRET: SECRET } })
  const now = Date.now()
  for (const [i, text] of [
    `{"cookie":{},"_v":3,"createdAt":${now},"name":"ada"}`,
    `{"cookie":{},"_v":3,"createdAt":${now}}`,
    `{"cookie":{},"createdAt":${now},"_v":3,"name":"ada"}`
  ].entries()) {
    await redis.set(sessionKey(`reordered-${i}`), text, 'EX', 60)
    const visitor = new Visitor(app, signed(`reordered-${i}`))
    const response = await visitor.get('/')
    assert.deepEqual([response.statusCode, response.json().visits], [200, 1], text)
    assert.notEqual(visitor.sessionId, `reordered-${i}`)
  }
})

test('a key of another type counts as no session', async (t) => {
  const { app, redis } = await startApp(t, { env: { SESSION_SECRET: SECRET } })
  await redis.rpush(sessionKey('a-list'), 'text')
  const visitor = new Visitor(app, signed('a-list'))
  assert.equal((await visitor.get('/session')).json().name, null)
  assert.equal((await visitor.get('/')).json().visits, 1)
  assert.notEqual(visitor.sessionId, 'a-list')
})

test('a handler that throws stores nothing: neither a new session nor a change', async (t) => {
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

/** Routes that treat a session like a careless handler; two of them wait for the test in the middle. */
function careless() {
  const waiting: (() => void)[] = []
  const pause = () => new Promise<void>((resolve) => waiting.push(resolve))
  const routes: FastifyPluginAsync = async (scope) => {
    scope.post('/assign', async (request) => {
      Object.assign(request.session, request.body)
      return 'ok'
    })
    scope.post('/fill/:length', async ({ session, params }) => {
      session.note = 'x'.repeat(Number((params as { length: string }).length))
      return 'ok'
    })
    scope.post('/delete/:key', async ({ session, params }) => {
      delete session[(params as { key: 'note' }).key]
      return 'ok'
    })
    scope.post('/sign-in', async (request) => {
      await scope.sessions.signIn(request, 'ada')
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
  /** A visitor whose session has two keys; `again` sends another request of the same session. */
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

test('copying a body into the session changes neither its end nor its version', async (t) => {
  const { again, data } = await careless().start(t)
  const before = await data()
  const forged = { note: 'x', createdAt: 9e15, _v: 0, _snapshot: null, cookie: null, sneaky: { _v: 1 } }
  assert.equal((await again('/assign', forged)).statusCode, 200)
  const { note, createdAt, _v, cookie } = await data()
  assert.deepEqual({ note, createdAt, _v, cookie }, { note: 'x', createdAt: before.createdAt, _v: 2, cookie: {} })
  await again('/assign', { note: 'y' })
  assert.equal((await data()).note, 'y')
})

test('a key that every object inherits can be set and deleted like any other', async (t) => {
  const { again, data } = await careless().start(t)
  const names = Object.getOwnPropertyNames(Object.prototype).filter((name) => name !== '__proto__')
  assert.ok(names.includes('constructor') && names.includes('toString') && names.includes('hasOwnProperty'))
  for (const name of names) {
    assert.equal((await again('/assign', { [name]: 'mine' })).statusCode, 200, name)
    assert.equal(Object.getOwnPropertyDescriptor(await data(), name)?.value, 'mine', name)
    assert.equal((await again(`/delete/${name}`)).statusCode, 200, name)
    assert.ok(!Object.hasOwn(await data(), name), `${name} is still there`)
  }
})

test("a key that is called like one of the session's methods stands in the way of nothing, and is not kept", async (t) => {
  const { again, data, redis, visitor } = await careless().start(t)
  const names = ['get', 'set', 'options', 'touch', 'save', 'reload', 'regenerate', 'destroy', 'isModified', 'isSaved']
  const shadow = Object.fromEntries(names.map((name) => [name, 'x']))
  assert.equal((await again('/assign', { ...shadow, note: 'kept' })).statusCode, 200)
  const { cookie, createdAt, _v, ...kept } = await data()
  assert.deepEqual(kept, { first: '1', second: '2', note: 'kept' })

  const stored = JSON.stringify({ cookie: {}, ...shadow, sessionId: 'x', encryptedSessionId: 'x', createdAt, _v })
  await redis.set(sessionKey(visitor.sessionId), stored, 'KEEPTTL')
  assert.equal((await again('/assign', { note: 'again' })).statusCode, 200)
  assert.equal((await again('/sign-in')).statusCode, 200)
})

test('a session larger than SESSION_MAX_BYTES gets 413, and the stored session stays', async (t) => {
  const { again, data } = await careless().start(t, { SESSION_MAX_BYTES: '1000' })
  const size = JSON.stringify({ first: '1', second: '2', note: '' }).length
  assert.equal((await again('/assign', { note: 'x'.repeat(1000 - size) })).statusCode, 200)
  const before = await data()
  const refused = await again('/assign', { note: 'x'.repeat(1001 - size) })
  assert.deepEqual([refused.statusCode, refused.json().code], [413, 'SESSION_TOO_LARGE'])
  assert.match(refused.json().message, /1001 bytes of JSON: SESSION_MAX_BYTES allows 1000/)
  assert.deepEqual(await data(), before)
  await again('/assign', { note: '' })
  const both = await Promise.all([again('/assign', { first: 'é'.repeat(500) }), again('/assign', { second: 'fits' })])
  assert.deepEqual(both.map(({ statusCode }) => statusCode).sort(), [200, 413])
  assert.equal((await data()).second, 'fits')
})

test('the default limit of a session is 64 KiB', async (t) => {
  const { again } = await careless().start(t)
  const size = JSON.stringify({ first: '1', second: '2', note: '' }).length
  assert.equal((await again(`/fill/${65_536 - size}`)).statusCode, 200)
  const refused = await again(`/fill/${65_537 - size}`)
  assert.deepEqual([refused.statusCode, refused.json().code], [413, 'SESSION_TOO_LARGE'])
})

test('a session that a handler clears contains only what other requests set meanwhile', async (t) => {
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

test('a session that ends while a handler clears it does not come back', async (t) => {
  const { start, waits, letGo } = careless()
  const { again, redis, visitor } = await start(t)
  const emptied = again('/empty')
  await waits()
  await redis.del(sessionKey(visitor.sessionId))
  letGo()
  assert.equal((await emptied).statusCode, 200)
  assert.equal(await redis.exists(sessionKey(visitor.sessionId)), 0)
})

test('a request that saves twice overwrites no change of other requests', async (t) => {
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

test('after a sign-out the handler sees an empty session, and its changes are not stored', async (t) => {
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
    assert.deepEqual(await sessionKeys(redis), [])
  }
})

test('visits during a sign-in get different numbers, and the new session has them all', async (t) => {
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
    // One in each turn of the event loop, so that some arrive in the middle.
    while (!signedIn) {
      visits.push(new Visitor(app, cookie).get('/'))
      await new Promise(setImmediate)
    }
    await signingIn
    const answers = await Promise.all(visits)
    // A request that found the session gone is the first visit of a new session.
    const counted = answers.map((answer) => answer.json().visits as number).filter((visits) => visits > 1)
    assert.deepEqual(
      counted.sort((a, b) => a - b),
      counted.map((_, i) => 6 + i),
      `round ${round}`
    )
    assert.equal((await visitor.get('/')).json().visits, 6 + counted.length, `round ${round}`)
  }
})
