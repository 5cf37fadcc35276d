import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { type AppOptions, commandsDuring, startApp as startAnyApp, Visitor } from '../helpers/app.ts'
import { timed } from '../helpers/timed.ts'

/** A long REDIS_TIMEOUT: on a busy machine an answer may take longer than the default of one second. */
const startApp = (t: TestContext, options: AppOptions = {}) =>
  startAnyApp(t, { env: { REDIS_TIMEOUT: '30000' }, ...options })

describe('maintenance', () => {
  timed('every route answers 503 at no cost, and what machines ask goes on', async (t) => {
    const { app, redis } = await startApp(t)
    await app.shared.settings.set('maintenance', true)
    const visitor = new Visitor(app)
    const ofRoutes = [
      () => visitor.get('/', { accept: 'text/html' }),
      () => visitor.post('/hits'),
      () => visitor.post('/session', { name: 'ada' }),
      () => visitor.get('/events')
    ]
    const commands = await commandsDuring(redis, async () => {
      for (const ask of ofRoutes) {
        const response = await ask()
        assert.equal(response.statusCode, 503)
        assert.equal(response.headers['retry-after'], '30')
        assert.equal(response.headers['set-cookie'], undefined)
        assert.deepEqual(response.json(), {
          statusCode: 503,
          code: 'MAINTENANCE',
          error: 'Service Unavailable',
          message: 'The service is under maintenance'
        })
      }
      for (const path of ['/livez', '/readyz', '/metrics']) assert.equal((await app.inject(path)).statusCode, 200)
    })
    assert.deepEqual(commands, {})
    assert.equal((await app.inject('/nowhere')).statusCode, 503, 'middleware of an app may serve any path')
    await app.shared.settings.set('maintenance', false)
    assert.equal((await visitor.post('/hits')).json().hits, 1, 'nothing was counted')
  })

  test('applies to your own routes too', async (t) => {
    const { app } = await startApp(t, { routes: async (scope) => void scope.get('/mine', async () => 'ok') })
    await app.shared.settings.set('maintenance', true)
    assert.equal((await app.inject('/mine')).json().code, 'MAINTENANCE')
    assert.equal((await app.inject({ method: 'POST', url: '/mine' })).json().code, 'MAINTENANCE')
  })
})

test('the banner appears as text on the page and nowhere else', async (t) => {
  const { app } = await startApp(t)
  const visitor = new Visitor(app)
  const page = () => visitor.get('/', { accept: 'text/html' })
  assert.match((await page()).body, /id="banner" role="status"><\/p>/, 'there is none')
  await app.shared.settings.set('banner', `<b>5 o'clock</b>`)
  assert.match((await page()).body, /role="status">&#60;b&#62;5 o&#39;clock&#60;\/b&#62;<\/p>/)
  for (const path of ['/', '/session', '/hits']) assert.doesNotMatch((await visitor.get(path)).body, /clock/)
})
