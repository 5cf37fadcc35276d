import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import exampleRoutes from '../../src/routes/index.ts'
import { sessionKey, sessionKeys, setCookieOf, startApp, Visitor } from '../helpers/app.ts'
import { RedisProxy } from '../helpers/proxy.ts'
import { startRedis } from '../helpers/redis.ts'
import { until } from '../helpers/until.ts'

const VISITS = 3

/** An app with a proxy in front of Redis. Its handlers fail after a sign-in in the way that their paths name. */
async function start(t: TestContext, env: Record<string, string> = {}) {
  const server = await startRedis(t)
  const proxy = await RedisProxy.start(t, server.url)
  const lines: string[] = []
  const hooks = { afterSignIn: (): unknown => undefined }
  const { app, redis } = await startApp(t, {
    redis: server,
    url: proxy.url,
    env,
    onLog: (line) => lines.push(line),
    routes: async (scope) => {
      await scope.register(exampleRoutes)
      scope.post('/sign-in/:name', async (request) => {
        await scope.sessions.signIn(request, (request.params as { name: string }).name)
        void hooks.afterSignIn()
        return 'ok'
      })
      scope.post('/throw', async (request) => {
        await scope.sessions.signIn(request, 'ada')
        throw new Error('on purpose')
      })
      const onSend = async () => {
        throw new Error('on purpose')
      }
      await scope.register(async (inner) => {
        inner.addHook('onRoute', (route) => {
          if (route.path === '/throw-late') route.onSend = [route.onSend ?? [], onSend].flat()
        })
        inner.post('/throw-late', async (request) => {
          await scope.sessions.signIn(request, 'ada')
          return 'ok'
        })
      })
    }
  })
  /** A visitor whose session has this number of visits. */
  const visit = async () => {
    const visitor = new Visitor(app)
    for (let i = 0; i < VISITS; i++) await visitor.get('/')
    return visitor
  }
  /** Asserts that the sign-in happened completely. */
  const assertAll = async (visitor: Visitor, oldCookie: string) => {
    assert.notEqual(visitor.cookie, oldCookie)
    const { name, visits } = (await visitor.get('/session')).json()
    assert.deepEqual([name, visits], ['ada', VISITS])
    const old = new Visitor(app, oldCookie)
    assert.equal((await old.get('/session')).json().createdAt, null, 'the old session lives on')
    assert.equal(await redis.exists(sessionKey(new Visitor(app, oldCookie).sessionId)), 0)
    assert.equal((await app.sessions.list('ada')).length, 1)
  }
  /** Asserts that the sign-in did not happen at all. */
  const assertNone = async (visitor: Visitor, oldCookie: string) => {
    assert.equal(visitor.cookie, oldCookie)
    assert.deepEqual(await app.sessions.list('ada'), [], 'a phantom is in the list')
    const { name, visits } = (await visitor.get('/session')).json()
    assert.deepEqual([name, visits], [null, VISITS])
    assert.equal((await visitor.get('/')).json().visits, VISITS + 1)
    assert.equal(visitor.cookie, oldCookie)
  }
  const undone = () => until(() => lines.some((line) => line.includes('sign-in undone')), 'the end of undoing')
  return { app, redis, proxy, hooks, visit, assertAll, assertNone, undone }
}

test('a handler that throws after a sign-in changes nothing: the old session stays, no new one is stored or listed', async (t) => {
  const { visit, redis, assertNone } = await start(t)
  const visitor = await visit()
  const before = visitor.cookie!
  const keys = (await redis.keys('*')).sort()
  const response = await visitor.post('/throw')
  assert.equal(response.statusCode, 500)
  assert.equal(setCookieOf(response), undefined)
  assert.deepEqual((await redis.keys('*')).sort(), keys)
  await assertNone(visitor, before)
})

test('a hook that throws after the sign-in is stored changes nothing: the new cookie is set', async (t) => {
  const { visit, assertAll } = await start(t)
  const visitor = await visit()
  const before = visitor.cookie!
  assert.equal((await visitor.post('/throw-late')).statusCode, 500)
  await assertAll(visitor, before)
})

/** A text that occurs in the request of each step and in no other. */
const steps = { 'the end of the old session': ':renewed', 'the new session': '"name":"ada"', 'the list': ':user:{' }

for (const [step, text] of Object.entries(steps)) {
  test(`a sign-in that loses the answer to ${step} is repeated and succeeds completely`, async (t) => {
    const { proxy, hooks, visit, assertAll } = await start(t)
    const visitor = await visit()
    const before = visitor.cookie!
    hooks.afterSignIn = () => proxy.loseAnswers(1, text)
    const response = await visitor.post('/sign-in/ada')
    assert.equal(proxy.toLose, 0)
    assert.equal(response.statusCode, 200, response.body)
    await assertAll(visitor, before)
  })

  test(`a sign-in that loses every answer to ${step} until the timeout is undone completely`, async (t) => {
    const { proxy, hooks, visit, redis, assertNone, undone } = await start(t, { REDIS_TIMEOUT: '3000' })
    const visitor = await visit()
    const before = visitor.cookie!
    hooks.afterSignIn = () => proxy.loseAnswers(Number.POSITIVE_INFINITY, text)
    const response = await visitor.post('/sign-in/ada')
    assert.equal(response.statusCode, 503, response.body)
    assert.equal(setCookieOf(response), undefined)
    proxy.toLose = 0
    await undone()
    await assertNone(visitor, before)
    const kept = [sessionKey(visitor.sessionId), `{${sessionKey(visitor.sessionId)}}:visits`]
    for (const key of await sessionKeys(redis)) assert.ok(kept.includes(key) || (await redis.get(key)) === '', key)
  })
}

test('a sign-in that reaches Redis after it was answered with 503 changes nothing', async (t) => {
  const { proxy, hooks, visit, assertNone, undone } = await start(t, { REDIS_TIMEOUT: '3000' })
  const visitor = await visit()
  const before = visitor.cookie!
  hooks.afterSignIn = () => proxy.strand()
  const response = await visitor.post('/sign-in/ada')
  assert.equal(response.statusCode, 503, response.body)
  // Over another connection, before the data that the first one holds back.
  await undone()
  await proxy.flow()
  await assertNone(visitor, before)
})

test('sign-ins whose connections are cut at any moment happen completely or not at all', async (t) => {
  const { app, proxy, hooks, visit } = await start(t)
  let all = 0
  for (let round = 0; round < 30; round++) {
    const visitor = await visit()
    const old = new Visitor(app, visitor.cookie)
    hooks.afterSignIn = async () => {
      for (let turns = round % 10; turns > 0; turns--) await new Promise(setImmediate)
      proxy.cut()
    }
    const { statusCode } = await visitor.post(`/sign-in/user-${round}`)
    let response = await visitor.get('/session')
    await until(async () => (response = await visitor.get('/session')).statusCode === 200, 'Redis')
    const { name, visits } = response.json()
    if (statusCode === 200) {
      all++
      assert.deepEqual([name, visits], [`user-${round}`, VISITS])
      assert.equal((await old.get('/session')).json().createdAt, null)
    } else {
      assert.deepEqual([statusCode, name, visits], [503, null, VISITS])
      assert.deepEqual(await app.sessions.list(`user-${round}`), [])
    }
  }
  t.diagnostic(`${all} of 30 sign-ins succeeded`)
})
