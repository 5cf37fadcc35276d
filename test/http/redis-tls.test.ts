import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { pino } from 'pino'
import { StartupError } from '../../src/common/errors.ts'
import { startApp, Visitor } from '../helpers/app.ts'
import { Authority } from '../helpers/certificates.ts'
import { RedisServer } from '../helpers/redis-server.ts'
import { until } from '../helpers/until.ts'

/** A Redis that accepts only TLS, with a certificate for these names. */
async function start(t: TestContext, names = 'IP:127.0.0.1') {
  const authority = new Authority(t)
  const redis = await RedisServer.start(t, authority.certify(names))
  return { authority, redis, url: `rediss://127.0.0.1:${redis.port}` }
}

/** An app with these trusted certificates, and its view of Redis. */
async function startTrusting(t: TestContext, redis: RedisServer, url: string, ca?: string) {
  const log: { msg: string; cause?: string }[] = []
  const started = await startApp(t, {
    redis,
    url,
    env: { REDIS_URL: url, REDIS_TIMEOUT: '500', ...(ca && { REDIS_CA: ca }) },
    log: pino({ level: 'warn' }, { write: (line: string) => void log.push(JSON.parse(line)) })
  })
  return { ...started, log }
}

test('hits and sessions work over TLS with a certificate that REDIS_CA has signed', async (t) => {
  const { authority, redis, url } = await start(t)
  const { app } = await startTrusting(t, redis, url, authority.file)
  const visitor = new Visitor(app)
  assert.equal((await visitor.get('/')).json().hits, 1)
  assert.equal((await visitor.get('/')).json().visits, 2)
  assert.equal(await redis.client.get('muster:hits'), '2')
})

test('an untrusted certificate stops the start, and the message names REDIS_CA', async (t) => {
  const { redis, url } = await start(t)
  const refused = (error: Error) =>
    error instanceof StartupError && /certificate.*REDIS_CA.*self-signed certificate/.test(error.message)
  await assert.rejects(startTrusting(t, redis, url), refused)
  await assert.rejects(startTrusting(t, redis, url, new Authority(t).file), StartupError)
})

test('a certificate for another host stops the start too', async (t) => {
  const { authority, redis, url } = await start(t, 'DNS:redis.example')
  await assert.rejects(startTrusting(t, redis, url, authority.file), (error: Error) => /altnames/.test(error.message))
})

test('a certificate that becomes invalid later is an outage: 503, one log line, recovery by itself', async (t) => {
  const { authority, redis, url } = await start(t)
  const { app, connection, log } = await startTrusting(t, redis, url, authority.file)
  await redis.end('SIGKILL')
  await redis.run(new Authority(t).certify('IP:127.0.0.1'))
  await until(() => log.some(({ cause = '' }) => /certificate that is not trusted/.test(cause)), 'the cause')
  await until(() => connection.away, 'an open circuit')
  for (let i = 0; i < 5; i++) assert.equal((await app.inject('/hits')).statusCode, 503)
  await redis.end('SIGKILL')
  await redis.run()
  await until(async () => (await app.inject('/hits')).statusCode === 200, 'a 200')
  assert.equal(log.filter(({ cause = '' }) => /certificate that is not trusted/.test(cause)).length, 1)
})
