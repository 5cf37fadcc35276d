import assert from 'node:assert/strict'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { LightMyRequestResponse } from 'fastify'
import { pino } from 'pino'
import { logOptions } from '../../src/common/log.ts'
import { loadConfig } from '../../src/config/load.ts'
import { startApp, type TestApp, Visitor } from '../helpers/app.ts'
import { RedisProxy } from '../helpers/proxy.ts'
import { RedisServer, type Settings } from '../helpers/redis-server.ts'
import { stopwatch, timed } from '../helpers/timed.ts'
import { until } from '../helpers/until.ts'

const REDIS_TIMEOUT = 1000
/** The promise is the timeout + 100 ms; the rest allows for other processes on the cores. */
const ANSWER_WITHIN = 2 * REDIS_TIMEOUT
const BACK_WITHIN = 3000

interface World extends TestApp {
  redisServer: RedisServer
  proxy: RedisProxy
  log: { level: number; msg: string; cause?: string; awayMs?: number }[]
  /** A visitor who already has a session. */
  known: Visitor
}

interface Failure {
  settings?: Settings
  /** The app's REDIS_URL when it is not the URL of the server. */
  url?: (server: RedisServer, proxy: RedisProxy) => string
  leave: (world: World) => unknown
  back: (world: World) => unknown
  /** The text that the log must contain once. */
  cause: RegExp
}

const asApp = ({ port }: RedisServer) => `redis://app:hunter2@127.0.0.1:${port}`
const APP_USER = { user: 'app on >hunter2 ~* &* +@all' }

const failures: Record<string, Failure> = {
  'is killed': {
    settings: { appendonly: 'yes' },
    leave: ({ redisServer }) => redisServer.end('SIGKILL'),
    back: ({ redisServer }) => redisServer.run(),
    cause: /ECONNREFUSED/
  },
  'is stopped': {
    leave: ({ redisServer }) => redisServer.signal('SIGSTOP'),
    back: ({ redisServer }) => redisServer.signal('SIGCONT'),
    cause: /no answer within 1000 ms/
  },
  'drops its replies': {
    url: (_, proxy) => proxy.url,
    leave: ({ proxy }) => proxy.mute(),
    back: ({ proxy }) => proxy.unmute(),
    cause: /no answer within 1000 ms/
  },
  'is busy with a script': {
    // Redis is silent at first, then answers that it is busy.
    settings: { 'lua-time-limit': 1.5 * REDIS_TIMEOUT },
    leave: async ({ redisServer }) => {
      const blocker = redisServer.connect()
      await blocker.ping()
      blocker.eval('while true do end', 0).catch(() => {})
      await until(() => isSilent(redisServer), 'a silent Redis')
    },
    back: ({ redisServer }) =>
      until(() => redisServer.client.script('KILL').catch(() => false), 'the end of the script'),
    cause: /BUSY/
  },
  'loads its data': {
    leave: async ({ redisServer }) => {
      for (let i = 0; i < 3000; i++) void redisServer.client.set(`ballast:${i}`, 'x'.repeat(1024))
      await redisServer.client.save()
      await redisServer.end('SIGKILL')
      // 5 ms per key; Redis serves clients after each.
      await redisServer.run({ 'key-load-delay': 5000, 'loading-process-events-interval-bytes': 1024 })
    },
    back: ({ redisServer }) => redisServer.client.config('SET', 'key-load-delay', 0),
    cause: /LOADING/
  },
  'is a replica': {
    leave: ({ redisServer }) => redisServer.client.replicaof('127.0.0.1', 1),
    back: ({ redisServer }) => redisServer.client.replicaof('NO', 'ONE'),
    cause: /READONLY/
  },
  'has too few replicas': {
    leave: ({ redisServer }) => redisServer.client.config('SET', 'min-replicas-to-write', 1),
    back: ({ redisServer }) => redisServer.client.config('SET', 'min-replicas-to-write', 0),
    cause: /NOREPLICAS/
  },
  'is out of memory': {
    settings: { 'maxmemory-policy': 'noeviction' },
    leave: ({ redisServer }) => redisServer.client.config('SET', 'maxmemory', 1),
    back: ({ redisServer }) => redisServer.client.config('SET', 'maxmemory', 0),
    cause: /OOM/
  },
  'cannot write its snapshot': {
    settings: { save: '3600 1' },
    leave: async ({ redisServer }) => {
      const inTheWay = join(redisServer.folder, 'dump.rdb')
      mkdirSync(inTheWay)
      writeFileSync(join(inTheWay, 'file'), '')
      await saved(redisServer, 'err')
    },
    back: async ({ redisServer }) => {
      rmSync(join(redisServer.folder, 'dump.rdb'), { recursive: true })
      await saved(redisServer, 'ok')
    },
    cause: /MISCONF/
  },
  'wants a password': {
    leave: async ({ redisServer: { client } }) => {
      await client.config('SET', 'requirepass', 'secret')
      await client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    },
    back: ({ redisServer }) => redisServer.client.config('SET', 'requirepass', ''),
    cause: /NOAUTH/
  },
  'wants another password': {
    settings: APP_USER,
    url: asApp,
    leave: async ({ redisServer: { client } }) => {
      await client.acl('SETUSER', 'app', 'resetpass', '>other')
      await client.call('CLIENT', 'KILL', 'USER', 'app')
    },
    back: ({ redisServer }) => redisServer.client.acl('SETUSER', 'app', 'resetpass', '>hunter2'),
    cause: /WRONGPASS/
  },
  'lets the user write no more': {
    settings: APP_USER,
    url: asApp,
    leave: ({ redisServer }) => redisServer.client.acl('SETUSER', 'app', '-@write'),
    back: ({ redisServer }) => redisServer.client.acl('SETUSER', 'app', '+@all'),
    cause: /NOPERM/
  },
  'has as many clients as it may have': {
    leave: async ({ redisServer: { client } }) => {
      await client.config('SET', 'maxclients', 1)
      await client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    },
    back: ({ redisServer }) => redisServer.client.config('SET', 'maxclients', 1000),
    cause: /max number of clients/
  }
}

/** Whether Redis lets a PING wait. */
async function isSilent({ client }: RedisServer): Promise<boolean> {
  const ping = client.ping().then(
    () => false,
    () => true
  )
  return Promise.race([ping, sleep(200, true)])
}

async function saved({ client }: RedisServer, status: 'ok' | 'err'): Promise<void> {
  await client.bgsave()
  await until(async () => (await client.info('persistence')).includes(`rdb_last_bgsave_status:${status}`), 'a snapshot')
}

async function start(t: TestContext, { settings = {}, url }: Failure): Promise<World> {
  const redisServer = await RedisServer.start(t, settings)
  const proxy = await RedisProxy.start(t, redisServer.socketUrl)
  const log: World['log'] = []
  const started = await startApp(t, {
    redis: redisServer,
    url: url?.(redisServer, proxy) ?? redisServer.url,
    env: { REDIS_TIMEOUT: `${REDIS_TIMEOUT}` },
    // As a worker logs, because it is what keeps passwords out.
    log: pino(logOptions(loadConfig({}), { role: 'worker', worker: 0, generation: 1 }), {
      write: (line) => void log.push(JSON.parse(line))
    })
  })
  // Like the primary.
  started.connection.on('change', (up) => {
    started.view.redis = up
  })
  await until(() => started.connection.up, 'Redis is up')
  const known = new Visitor(started.app)
  const signIn = () => known.post('/session', { name: 'ada' })
  await until(async () => (await signIn()).statusCode === 200, 'a sign-in')
  return { ...started, redisServer, proxy, log, known }
}

/** Requests that need Redis, from a visitor with a session and from one without. */
function everything({ app, known }: World): (() => Promise<LightMyRequestResponse>)[] {
  const stranger = () => new Visitor(app)
  const again = () => new Visitor(app, known.cookie)
  return [
    () => stranger().get('/'),
    () => stranger().get('/', { accept: 'text/html' }),
    () => stranger().post('/hits'),
    () => stranger().get('/hits'),
    () => stranger().post('/session', { name: 'grace' }),
    () => again().get('/'),
    () => again().get('/session')
  ]
}

/** Sends all requests three times at once. @returns the longest duration in ms, and the answers */
async function ask(world: World): Promise<{ ms: number; answers: LightMyRequestResponse[] }> {
  const elapsed = stopwatch()
  const answers = await Promise.all([1, 2, 3].flatMap(() => everything(world)).map((one) => one()))
  return { ms: Math.round(elapsed()), answers }
}

function assertUnavailable(response: LightMyRequestResponse): void {
  assert.equal(response.statusCode, 503, response.body)
  assert.equal(response.headers['retry-after'], '1')
  assert.deepEqual(response.json(), {
    statusCode: 503,
    code: 'STATE_UNAVAILABLE',
    error: 'Service Unavailable',
    message: 'The shared state is not available at the moment'
  })
}

describe('a Redis that', { concurrency: 3 }, () => {
  for (const [how, failure] of Object.entries(failures)) {
    timed(`${how}: clear 503s in time, then at once; one line in the log; back by itself`, async (t) => {
      const world = await start(t, failure)
      const { app, connection, log } = world
      log.length = 0
      await failure.leave(world)

      const first = await ask(world)
      assert.ok(first.ms < ANSWER_WITHIN, `the first answers took ${first.ms} ms`)
      // Requests that only read may still succeed until the first write has failed.
      for (const answer of first.answers) if (answer.statusCode !== 200) assertUnavailable(answer)
      assert.ok(first.answers.some(({ statusCode }) => statusCode === 503))

      await until(() => connection.away, 'an open circuit')
      const later = await ask(world)
      assert.ok(later.ms < REDIS_TIMEOUT, `they waited, ${later.ms} ms, though Redis was known to be away`)
      for (const answer of later.answers) assertUnavailable(answer)
      assert.equal((await app.inject('/livez')).statusCode, 200)
      const ready = await app.inject('/readyz?verbose')
      assert.equal(ready.statusCode, 503)
      assert.equal(ready.json().checks.redis, 'away')
      await until(() => log.some(({ cause = '' }) => failure.cause.test(cause)), `${failure.cause} in the log`)

      const back = failure.back(world)
      await back
      const elapsed = stopwatch()
      await until(async () => (await app.inject({ method: 'POST', url: '/hits' })).statusCode === 200, 'a 200')
      const ms = Math.round(elapsed())
      assert.ok(ms < BACK_WITHIN, `back after ${ms} ms`)
      assert.equal((await world.known.get('/session')).json().name, 'ada')
      await until(async () => (await app.inject('/readyz')).statusCode === 200, 'ready')

      const said = log.filter(({ msg }) => msg.startsWith('Redis'))
      t.diagnostic(`first ${first.ms} ms, then ${later.ms} ms, back after ${ms} ms: ${JSON.stringify(said)}`)
      assert.equal(said.filter(({ cause = '' }) => failure.cause.test(cause)).length, 1, JSON.stringify(said))
      assert.equal(said.filter(({ msg }) => msg === 'Redis is away').length, 1)
      assert.equal(said.filter(({ msg }) => msg === 'Redis is up').length, 1)
      assert.ok(said.length <= 5, JSON.stringify(said))
      assert.ok(!JSON.stringify(log).includes('hunter2'), 'a password in the log')
    })
  }
})

test('while Redis is away only probes reach it, one at a time', async (t) => {
  const failure = failures['has too few replicas']!
  const world = await start(t, failure)
  const { client } = world.redisServer
  await failure.leave(world)
  await ask(world)
  await until(() => world.connection.away, 'an open circuit')
  await client.config('RESETSTAT')
  const began = performance.now()
  while (performance.now() - began < 1500) await ask(world)
  const seconds = (performance.now() - began) / 1000
  const stats = await client.info('commandstats')
  const asked = [...stats.matchAll(/^cmdstat_([^:]+):.*rejected_calls=(\d+)/gm)].filter(
    ([, name]) => !/config/.test(name!)
  )
  assert.deepEqual(
    asked.map(([, name]) => name),
    ['set']
  )
  assert.ok(Number(asked[0]![2]) <= 2 * seconds + 1, `${asked[0]![2]} probes in ${seconds} s`)
})

test('a client that has given up reconnecting is connected again', async (t) => {
  const { app, connection } = await start(t, failures['is killed']!)
  connection.client.disconnect()
  await until(() => !connection.up, 'the end of the connection')
  await until(() => connection.up, 'a new one')
  assert.equal((await app.inject({ method: 'POST', url: '/hits' })).statusCode, 200)
})

test('a Redis that rejects writes is noticed even without requests', async (t) => {
  const { app, redisServer } = await start(t, failures['is a replica']!)
  assert.equal((await app.inject('/readyz')).statusCode, 200)
  await redisServer.client.replicaof('127.0.0.1', 1)
  await until(async () => (await app.inject('/readyz')).statusCode === 503, 'not ready')
})
