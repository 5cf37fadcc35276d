import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FastifyPluginAsync } from 'fastify'
import { countVisit } from '../../src/http/plugins/session/visits.ts'
import exampleRoutes from '../../src/routes/index.ts'
import { commandsDuring, sessionKey, startApp, type TestApp, Visitor } from '../helpers/app.ts'

const REQUESTS = 20

declare module 'fastify' {
  interface Session {
    [key: `key-${string}`]: string | undefined
  }
}

/** Routes that read the session, wait for the test, and then change it. */
function held() {
  const waiting: (() => void)[] = []
  let arrived = 0
  const watchers: (() => void)[] = []
  const pass = () => {
    arrived++
    for (const watcher of watchers) watcher()
    return new Promise<void>((resolve) => waiting.push(resolve))
  }
  const routes: FastifyPluginAsync = async (scope) => {
    scope.post('/begin', async (request) => {
      request.session['key-first'] = 'kept'
      await countVisit(request)
      return 'ok'
    })
    scope.post<{ Params: { key: string } }>('/set/:key', async (request) => {
      await pass()
      request.session[`key-${request.params.key}`] = 'set'
      return 'ok'
    })
    scope.post<{ Params: { key: string } }>('/set-at-once/:key', async (request) => {
      request.session[`key-${request.params.key}`] = 'set'
      return 'ok'
    })
    scope.post<{ Params: { key: string } }>('/remove/:key', async (request) => {
      await pass()
      delete request.session[`key-${request.params.key}`]
      return 'ok'
    })
    scope.post('/visit', async (request) => {
      await pass()
      return { visits: await countVisit(request) }
    })
    scope.delete('/session', async (request) => {
      await request.session.destroy()
      return 'ok'
    })
    scope.post('/renew', async (request) => {
      await request.session.regenerate()
      return 'ok'
    })
    scope.get('/keys', async (request) => Object.keys(request.session).filter((key) => key.startsWith('key-')))
  }
  return {
    routes,
    /** Resolves when this number of requests have their session and wait. */
    waits: (count: number) =>
      new Promise<void>((resolve) => {
        const look = () => arrived >= count && resolve()
        watchers.push(look)
        look()
      }),
    letGo: () => {
      for (const go of waiting.splice(0)) go()
    }
  }
}

const storedKeys = async ({ redis }: TestApp, visitor: Visitor) =>
  Object.keys(JSON.parse((await redis.get(sessionKey(visitor.sessionId))) ?? '{}')).filter((key) =>
    key.startsWith('key-')
  )
const keys = Array.from({ length: REQUESTS }, (_, i) => `${i}`)
const named = (names: string[]) => names.map((name) => `key-${name}`).sort()

for (const workers of [1, 2]) {
  test(`${REQUESTS} concurrent requests of one session, each setting another key, on ${workers} workers: all keys are kept`, async (t) => {
    const { routes, waits, letGo } = held()
    const first = await startApp(t, { routes })
    const apps = [first, ...(workers === 2 ? [await startApp(t, { routes, redis: first.server, slot: 1 })] : [])]
    const visitor = new Visitor(first.app)
    await visitor.post('/begin')
    const answers = keys.map((key, i) => new Visitor(apps[i % workers]!.app, visitor.cookie).post(`/set/${key}`))
    await waits(REQUESTS)
    letGo()
    for (const answer of await Promise.all(answers)) assert.equal(answer.statusCode, 200, answer.body)
    assert.deepEqual((await storedKeys(first, visitor)).sort(), named(['first', ...keys]))
  })
}

test('fifty requests of one session at random times: all changes are kept', async (t) => {
  const { routes } = held()
  const started = await startApp(t, { routes })
  const visitor = new Visitor(started.app)
  await visitor.post('/begin')
  const many = Array.from({ length: 50 }, (_, i) => `${i}`)
  const commands = await commandsDuring(started.redis, async () => {
    const answers = await Promise.all(
      many.map((key) => new Visitor(started.app, visitor.cookie).post(`/set-at-once/${key}`))
    )
    for (const answer of answers) assert.equal(answer.statusCode, 200, answer.body)
  })
  assert.ok(commands.set! <= 10, `they are written together, not in ${commands.set} writes`)
  assert.deepEqual((await storedKeys(started, visitor)).sort(), named(['first', ...many]))
})

test('a key that one request removes stays removed while another request sets its own', async (t) => {
  const { routes, waits, letGo } = held()
  const started = await startApp(t, { routes })
  const visitor = new Visitor(started.app)
  await visitor.post('/begin')
  const answers = ['/remove/first', '/set/second'].map((path) => new Visitor(started.app, visitor.cookie).post(path))
  await waits(2)
  letGo()
  await Promise.all(answers)
  assert.deepEqual(await storedKeys(started, visitor), ['key-second'])
})

for (const [end, why] of [
  [{ method: 'DELETE', path: '/session' }, 'signed out'],
  [{ method: 'POST', path: '/renew' }, 'given a new id']
] as const) {
  test(`a request in flight while its session is ${why} does not bring it back`, async (t) => {
    const { routes, waits, letGo } = held()
    const started = await startApp(t, { routes })
    const visitor = new Visitor(started.app)
    await visitor.post('/begin')
    const inFlight = keys.map((key) => new Visitor(started.app, visitor.cookie).post(`/set/${key}`))
    await waits(REQUESTS)
    const old = sessionKey(visitor.sessionId)
    assert.equal((await new Visitor(started.app, visitor.cookie).request(end)).statusCode, 200)
    assert.equal(await started.redis.exists(old), 0)
    letGo()
    await Promise.all(inFlight)
    assert.equal(await started.redis.exists(old), 0, 'it is back')
    assert.deepEqual((await new Visitor(started.app, visitor.cookie).get('/keys')).json(), [])
  })
}

test('nor does it bring back one without a version, as plain connect-redis writes it', async (t) => {
  const { routes, waits, letGo } = held()
  const started = await startApp(t, { routes })
  const visitor = new Visitor(started.app)
  await visitor.post('/begin')
  const key = sessionKey(visitor.sessionId)
  const { _v, ...plain } = JSON.parse((await started.redis.get(key))!)
  assert.equal(typeof _v, 'number')
  await started.redis.set(key, JSON.stringify(plain), 'EX', 600)
  assert.deepEqual((await new Visitor(started.app, visitor.cookie).get('/keys')).json(), ['key-first'])
  const inFlight = new Visitor(started.app, visitor.cookie).post('/set/second')
  await waits(1)
  await new Visitor(started.app, visitor.cookie).delete('/session')
  letGo()
  await inFlight
  assert.equal(await started.redis.exists(key), 0, 'it is back')
})

test(`${REQUESTS} concurrent visits of one session count as ${REQUESTS}, each with its own number`, async (t) => {
  const { app } = await startApp(t)
  const visitor = new Visitor(app)
  await visitor.get('/')
  const answers = await Promise.all(keys.map(() => new Visitor(app, visitor.cookie).get('/')))
  const visits = answers.map((answer) => answer.json().visits as number).sort((a, b) => a - b)
  assert.deepEqual(
    visits,
    Array.from({ length: REQUESTS }, (_, i) => i + 2)
  )
  assert.equal((await visitor.get('/session')).json().visits, REQUESTS + 1)
})

test('visits of a session that another route started are counted exactly', async (t) => {
  const { app } = await startApp(t, {
    routes: async (scope) => {
      await scope.register(exampleRoutes)
      scope.post('/begin', async (request) => {
        request.session['key-first'] = 'kept'
        return 'ok'
      })
    }
  })
  const visitor = new Visitor(app)
  await visitor.post('/begin')
  const answers = await Promise.all(keys.map(() => new Visitor(app, visitor.cookie).get('/')))
  const visits = answers.map((answer) => answer.json().visits as number).sort((a, b) => a - b)
  assert.deepEqual(
    visits,
    Array.from({ length: REQUESTS }, (_, i) => i + 1)
  )
})

test('a visit that is counted after a sign-out leaves nothing in Redis', async (t) => {
  const { routes, waits, letGo } = held()
  const { app, redis } = await startApp(t, { routes })
  const visitor = new Visitor(app)
  await visitor.post('/begin')
  const { sessionId, cookie } = visitor
  const visits = keys.map(() => new Visitor(app, cookie).post('/visit'))
  await waits(REQUESTS)
  await visitor.delete('/session')
  letGo()
  for (const visit of await Promise.all(visits)) assert.equal(visit.statusCode, 200)
  const left = (await redis.keys('*')).filter((key) => key.includes(sessionId))
  assert.deepEqual(left, [])
})
