import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { object } from '../../src/common/json-schema.ts'
import { type AppOptions, commandsDuring, startApp as startAnyApp } from '../helpers/app.ts'
import { RedisProxy } from '../helpers/proxy.ts'
import { startRedis } from '../helpers/redis.ts'
import { timed, unhinderedMs } from '../helpers/timed.ts'
import { until } from '../helpers/until.ts'

/** A long REDIS_TIMEOUT: on a busy machine an answer may take longer than the default of one second. */
const startApp = (t: TestContext, options: AppOptions = {}) =>
  startAnyApp(t, { env: { REDIS_TIMEOUT: '30000' }, ...options })

const DEFAULTS = { maintenance: false, banner: '', logLevel: null }
const noRoutes = async () => {}
/** A log, and its lines. */
function recorder() {
  const lines: { msg: string; setting?: string }[] = []
  const write = (chunk: unknown, _encoding: unknown, done: () => void) => {
    lines.push(JSON.parse(String(chunk)))
    done()
  }
  return { lines, log: pino(new Writable({ write })) }
}

const unavailable = { statusCode: 503, code: 'STATE_UNAVAILABLE' }

describe('a setting', () => {
  test('has its default until it is set, and then the new value in every worker, also in later ones', async (t) => {
    const redis = await startRedis(t)
    const [one, two] = await Promise.all([startApp(t, { redis }), startApp(t, { redis })])
    const [mine, theirs] = [one.app.shared.settings, two.app.shared.settings]
    assert.deepEqual(theirs.all(), DEFAULTS)
    assert.equal(theirs.version, 0)
    assert.equal(await mine.set('banner', 'Ahoy'), 1)
    assert.equal(mine.get('banner'), 'Ahoy', 'who set it has it at once')
    await until(() => theirs.get('banner') === 'Ahoy', 'the other one has it')
    assert.equal(await theirs.set('maintenance', true), 2)
    const later = (await startApp(t, { redis })).app.shared.settings
    assert.deepEqual(later.all(), { ...DEFAULTS, banner: 'Ahoy', maintenance: true })
    assert.equal(later.version, 2)
    const { '@write': write, ...stored } = await redis.client.hgetall('muster:settings')
    assert.deepEqual(stored, { banner: '"Ahoy"', maintenance: 'true', '@version': '2' })
    assert.match(write!, /^[0-9a-f-]{36}$/)
  })

  test('is applied although its version is not new, as after a failover that lost writes', async (t) => {
    const redis = await startRedis(t)
    const mine = (await startApp(t, { redis })).app.shared.settings
    const announced = (await startApp(t, { redis })).app.shared.settings
    const comparing = await startApp(t, { redis, beatMs: 50 })
    await mine.set('banner', 'lost')
    for (const settings of [announced, comparing.app.shared.settings]) {
      await until(() => settings.get('banner') === 'lost', 'the first value')
    }
    // The replica that takes over never got this write, so the next write has the same version again.
    await redis.client.del('muster:settings')
    assert.equal(await mine.set('banner', 'kept'), 1)
    await until(() => announced.get('banner') === 'kept', 'the announced value')
    await redis.client.hset('muster:settings', { banner: '"unannounced"', '@version': 1, '@write': 'another' })
    await until(() => comparing.app.shared.settings.get('banner') === 'unannounced', 'the compared value')
    assert.deepEqual([mine.version, comparing.app.shared.settings.version], [1, 1])
  })

  test('with an unknown key is refused, and the known keys are listed', async (t) => {
    const { settings } = (await startApp(t)).app.shared
    const message = 'There is no setting "baner"; there are maintenance, banner, logLevel'
    const refusal = { statusCode: 404, code: 'UNKNOWN_SETTING', message }
    await assert.rejects(settings.set('baner', 'x'), refusal)
    assert.throws(() => settings.get('baner'), refusal)
    assert.throws(() => settings.onChange('baner', () => {}), refusal)
    assert.throws(() => settings.get('constructor'), { statusCode: 404 })
  })

  const misfits: [key: string, value: unknown, message: RegExp][] = [
    ['maintenance', 'yes', /"maintenance" must be boolean/],
    ['banner', 42, /"banner" must be string/],
    ['banner', 'x'.repeat(501), /"banner" must not have more than 500 characters/],
    ['logLevel', 'loud', /"logLevel" must be one of trace, debug, .*silent, null/],
    ['logLevel', undefined, /cannot be written as JSON/],
    ['banner', 1n, /cannot be written as JSON/],
    ['banner', 'x'.repeat(70_000), /at most 65536 are allowed/]
  ]
  for (const [key, value, message] of misfits) {
    test(`does not accept an invalid value: ${key} = ${String(value).slice(0, 20)}`, async (t) => {
      const { app, redis } = await startApp(t, { routes: noRoutes })
      await assert.rejects(app.shared.settings.set(key, value), { statusCode: 400, message })
      assert.equal(await redis.exists('muster:settings'), 0)
    })
  }

  test('is parsed from text according to its schema', async (t) => {
    const { settings } = (await startApp(t)).app.shared
    settings.declare('limits', { type: 'array', items: { type: 'integer' } }, [])
    assert.equal(settings.parse('banner', '42'), '42')
    assert.equal(settings.parse('banner', 'Back at noon'), 'Back at noon')
    assert.equal(settings.parse('maintenance', 'true'), true)
    assert.equal(settings.parse('logLevel', 'null'), null)
    assert.equal(settings.parse('logLevel', 'debug'), 'debug')
    assert.deepEqual(settings.parse('limits', '[1, 2]'), [1, 2])
    assert.throws(() => settings.parse('baner', '1'), { statusCode: 404 })
  })
})

describe('a setting of your own', () => {
  test('is declared with a schema and is read and set like the others', async (t) => {
    const redis = await startRedis(t)
    const declared = async () => {
      const { app } = await startApp(t, { redis, routes: noRoutes })
      const { settings } = app.shared
      return {
        settings,
        greeting: settings.declare('greeting', { type: 'string', minLength: 1 }, 'hello'),
        plain: settings.declare('plain', { type: 'object', properties: { a: { type: 'integer' } } } as const, { a: 1 })
      }
    }
    const one = await declared()
    const two = await declared()
    assert.equal(two.greeting(), 'hello')
    await one.settings.set('greeting', 'moin')
    await one.settings.set('plain', { a: 2 })
    await until(() => two.plain().a === 2, 'the other one has it')
    assert.equal(two.greeting(), 'moin')
    assert.equal(two.settings.get('greeting'), 'moin')
    await assert.rejects(one.settings.set('greeting', ''), { statusCode: 400 })
    await assert.rejects(one.settings.set('plain', { a: 'x' }), { statusCode: 400, message: /at \/a must be integer/ })
    assert.equal((await declared()).greeting(), 'moin', 'stored before it was declared')
  })

  test('changes only by set', async (t) => {
    const { settings } = (await startApp(t)).app.shared
    const fallback = { list: [1] }
    const limits = settings.declare('limits', object({ list: { type: 'array', items: { type: 'integer' } } }), fallback)
    assert.throws(() => limits().list.push(2), TypeError)
    await settings.set('limits', { list: [2] })
    assert.throws(() => limits().list.push(3), TypeError)
    fallback.list.push(9)
    assert.deepEqual(limits(), { list: [2] })
  })

  test('cannot be declared twice, with an invalid name or with an invalid default', async (t) => {
    const { settings } = (await startApp(t)).app.shared
    settings.declare('mine', { type: 'integer' }, 1)
    assert.throws(() => settings.declare('mine', { type: 'integer' }, 1), /already/)
    assert.throws(() => settings.declare('banner', { type: 'string' }, ''), /already/)
    assert.throws(() => settings.declare('@version', { type: 'integer' }, 1), /cannot be called/)
    assert.throws(() => settings.declare('other', { type: 'integer' }, 'x' as never), /does not fit/)
  })

  test('has its default when the stored value is no longer valid, which is logged once', async (t) => {
    const redis = await startRedis(t)
    await redis.client.hset('muster:settings', { size: '"large"', banner: '{', '@version': 7 })
    const { log, lines } = recorder()
    const { settings } = (await startApp(t, { redis, log, routes: noRoutes })).app.shared
    const size = settings.declare('size', { type: 'integer' }, 3)
    await settings.set('maintenance', true)
    await settings.read()
    assert.equal(size(), 3)
    assert.equal(settings.get('banner'), '')
    assert.deepEqual(
      lines.filter(({ msg }) => /does not fit its schema/.test(msg)).map(({ setting }) => setting),
      ['banner', 'size']
    )
    await settings.set('size', 5)
    assert.equal(size(), 5)
  })
})

test('onChange reports every change once, of one setting or all, until it is removed; a failing listener affects no other', async (t) => {
  const redis = await startRedis(t)
  const [one, two] = await Promise.all([startApp(t, { redis }), startApp(t, { redis })])
  const { settings } = two.app.shared
  const heard: unknown[] = []
  settings.onChange(() => {
    throw new Error('a bad listener')
  })
  const end = settings.onChange('banner', (banner) => heard.push(banner))
  settings.onChange((key, value) => heard.push([key, value]))
  const set = async (key: string, value: unknown) => {
    const version = await one.app.shared.settings.set(key, value)
    await until(() => settings.version === version, 'the other one has it')
  }
  await set('banner', 'a')
  await set('banner', 'a')
  await set('maintenance', true)
  end()
  await set('banner', 'b')
  assert.deepEqual(heard, ['a', ['banner', 'a'], ['maintenance', true], ['banner', 'b']])
})

describe('a change without an announcement', () => {
  timed('is seen within 2 s all the same; so is a loss of data', async (t) => {
    const { app, redis } = await startApp(t, { beatMs: 1000 })
    const { settings } = app.shared
    const measure = async (what: string, change: () => Promise<unknown>, seen: () => boolean) => {
      await change()
      const changed = unhinderedMs()
      await until(seen, what)
      const ms = Math.round(unhinderedMs() - changed)
      t.diagnostic(`${what}: seen after ${ms} ms`)
      assert.ok(ms < 4000, `${ms} ms`)
    }
    const unannounced = () => redis.hset('muster:settings', { banner: '"psst"', '@version': 3 })
    await measure('a change', unannounced, () => settings.get('banner') === 'psst')
    await measure(
      'nothing left',
      () => redis.flushall(),
      () => settings.get('banner') === ''
    )
    assert.equal(settings.version, 0)
  })

  timed('costs one command on each of the two connections a beat, and reads nothing when nothing is new', async (t) => {
    const { redis } = await startApp(t, { beatMs: 100, routes: noRoutes })
    const commands = await commandsDuring(redis, () => sleep(1050))
    assert.deepEqual(Object.keys(commands).sort(), ['hmget', 'ping'])
    assert.ok(commands.hmget! <= 11 && commands.ping! <= 11, JSON.stringify(commands))
  })

  test('reaches workers whose subscription went silent, and the subscription is renewed', async (t) => {
    const redis = await startRedis(t)
    const proxy = await RedisProxy.start(t, redis.url)
    const env = { REDIS_TIMEOUT: '100' }
    const { app } = await startApp(t, { redis, url: proxy.url, env, beatMs: 50 })
    const { accepted } = proxy
    proxy.strand()
    await until(() => proxy.accepted >= accepted + 2, 'two new connections')
    const heard = new Promise((resolve) => app.shared.settings.onChange('banner', resolve))
    await until(async () => (await redis.client.pubsub('NUMSUB', 'muster:settings@0'))[1] === 2, 'a new subscription')
    await redis.client.hset('muster:settings', { banner: '"again"', '@version': 1 })
    await redis.client.publish('muster:settings@0', '1')
    assert.equal(await heard, 'again')
    await proxy.flow()
  })
})

test('is seen without a subscription; a Redis that rejects subscriptions is logged once', async (t) => {
  const redis = await startRedis(t)
  await redis.client.acl('SETUSER', 'default', 'resetchannels')
  const { log, lines } = recorder()
  const { shared } = (await startApp(t, { redis, log, beatMs: 20 })).app
  for (const version of [1, 2, 3]) {
    await redis.client.hset('muster:settings', { banner: `"${version}"`, '@version': version })
    await until(() => shared.settings.get('banner') === `${version}`, 'the change')
  }
  assert.equal(lines.filter(({ msg }) => msg === 'Redis refuses the subscription').length, 1)
  await assert.rejects(shared.broadcast('news', 1, { scope: 'all' }), { statusCode: 503 })
  await redis.client.acl('SETUSER', 'default', 'allchannels')
  await until(
    () =>
      shared.broadcast('news', 1, { scope: 'all' }).then(
        () => true,
        () => false
      ),
    'a broadcast'
  )
})

describe('while Redis is away', () => {
  test('settings keep their values, cannot be set, and are updated when Redis is back', async (t) => {
    const redis = await startRedis(t)
    const proxy = await RedisProxy.start(t, redis.url)
    const near = await startApp(t, { redis })
    const far = await startApp(t, { redis, url: proxy.url, env: { REDIS_TIMEOUT: '200' }, beatMs: 100 })
    await near.app.shared.settings.set('banner', 'before')
    const { settings } = far.app.shared
    await until(() => settings.get('banner') === 'before', 'it is there')
    await proxy.refuse()
    await until(() => !far.connection.up, 'Redis is away')
    await near.app.shared.settings.set('banner', 'meanwhile')
    assert.equal(settings.get('banner'), 'before')
    await assert.rejects(settings.set('banner', 'x'), { ...unavailable, retryAfter: 1 })
    await proxy.accept()
    await until(() => settings.get('banner') === 'meanwhile', 'the change of meanwhile')
    // The connection that commands use may be back later than the one of the subscription.
    await until(() => settings.set('banner', 'after').then(Boolean, () => false), 'a new value')
  })

  test('a new worker has the defaults until Redis is back', async (t) => {
    const redis = await startRedis(t)
    await redis.client.hset('muster:settings', { banner: '"there"', '@version': 1 })
    const proxy = await RedisProxy.start(t, redis.url)
    await proxy.refuse()
    const { app } = await startApp(t, { redis, url: proxy.url, env: { REDIS_TIMEOUT: '200' } })
    assert.deepEqual(app.shared.settings.all(), DEFAULTS)
    await proxy.accept()
    await until(() => app.shared.settings.get('banner') === 'there', 'the settings')
  })
})
