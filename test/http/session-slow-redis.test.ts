import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Redis } from 'ioredis'
import { sessionKey, startApp, Visitor } from '../helpers/app.ts'
import { RedisProxy } from '../helpers/proxy.ts'
import { startRedis } from '../helpers/redis.ts'
import { until } from '../helpers/until.ts'

const REDIS_TIMEOUT = 1000
/** One round trip is fast enough, two are not. */
const DELAY = 700
/** The promise is the timeout + 100 ms; the rest allows for other processes on the cores. */
const ANSWER_WITHIN = REDIS_TIMEOUT + 300

/** An app whose Redis becomes slow when the test says so, and a visitor with a session. */
async function start(t: TestContext) {
  const server = await startRedis(t)
  const proxy = await RedisProxy.start(t, server.url)
  /** The times at which handlers of slow writes were done. */
  const began: number[] = []
  const { app, redis } = await startApp(t, {
    redis: server,
    url: proxy.url,
    env: { REDIS_TIMEOUT: `${REDIS_TIMEOUT}` },
    routes: async (scope) => {
      scope.get('/name', async ({ session }) => session.name ?? 'nobody')
      scope.post('/name', async ({ session }) => {
        session.name = 'ada'
        return 'ok'
      })
      scope.post<{ Params: { key: string } }>('/slow-writes/:key', async ({ session, params }) => {
        Object.assign(session, { [params.key]: 'set' })
        proxy.latency = { answer: () => DELAY }
        began.push(performance.now())
        return 'ok'
      })
    }
  })
  const visitor = new Visitor(app)
  await visitor.post('/name')
  await visitor.get('/name')
  return { app, redis, proxy, visitor, began }
}

/** Returns how often Redis has run a command. */
async function callsOf(redis: Redis, command: string): Promise<number> {
  const [, calls = '0'] =
    new RegExp(`^cmdstat_${command}:calls=(\\d+)`, 'm').exec(await redis.info('commandstats')) ?? []
  return Number(calls)
}

const timed = async <T>(work: Promise<T>) => {
  const began = performance.now()
  return { response: await work, ms: performance.now() - began }
}

test('a session read that waits for the previous batch gets 503 within the timeout when Redis is too slow', async (t) => {
  const { redis, proxy, visitor } = await start(t)
  const calls = await callsOf(redis, 'getex')
  proxy.latency = { answer: () => DELAY }
  const first = timed(visitor.get('/name'))
  await until(async () => (await callsOf(redis, 'getex')) > calls, 'the batch in flight')
  const second = await timed(visitor.get('/name'))
  assert.deepEqual([second.response.statusCode, second.response.json().code], [503, 'STATE_UNAVAILABLE'])
  assert.ok(second.ms < ANSWER_WITHIN, `answered after ${second.ms} ms`)
  assert.equal((await first).response.body, 'ada')
  proxy.latency = {}
  assert.equal((await visitor.get('/name')).statusCode, 200)
})

test('a write that waits for the previous one gets 503 too, and is not executed later', async (t) => {
  const { app, redis, proxy, visitor, began } = await start(t)
  const write = (key: string) =>
    new Visitor(app, visitor.cookie)
      .post(`/slow-writes/${key}`)
      .then((response) => ({ status: response.statusCode, at: performance.now() }))
  const answers = await Promise.all([write('first'), write('second')])
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 503])
  for (const { at } of answers) assert.ok(at - Math.max(...began) < ANSWER_WITHIN, 'too late')
  proxy.latency = {}
  const stored = async () => JSON.parse((await redis.get(sessionKey(visitor.sessionId)))!)
  const { first, second } = await stored()
  assert.ok(first === 'set' || second === 'set')
})
