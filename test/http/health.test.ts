import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ServiceView } from '../../src/ipc/messages.ts'
import { startApp } from '../helpers/app.ts'

test('/livez answers 200 while the event loop turns, in every state of the service', async (t) => {
  const { app, view } = await startApp(t)
  for (const state of ['starting', 'running', 'reloading', 'draining'] as const) {
    Object.assign(view, { state, redis: false })
    const response = await app.inject('/livez')
    assert.equal(response.statusCode, 200)
    assert.deepEqual(response.json(), { status: 'ok' })
  }
})

const answers: [view: Partial<ServiceView>, why: string | undefined][] = [
  [{ state: 'running', redis: true }, undefined],
  [{ state: 'reloading', redis: true }, undefined],
  [{ state: 'starting', redis: true }, 'The service is starting'],
  [{ state: 'starting', redis: false }, 'The service is starting'],
  [{ state: 'draining', redis: true }, 'The service is draining'],
  [{ state: 'draining', redis: false }, 'The service is draining'],
  [{ state: 'running', redis: false }, 'The shared state is not available at the moment'],
  [{ state: 'reloading', redis: false }, 'The shared state is not available at the moment']
]

for (const path of ['/readyz', '/healthz']) {
  test(`${path} answers 200 while the service accepts traffic, otherwise 503 with the reason`, async (t) => {
    const { app, view } = await startApp(t)
    for (const [said, why] of answers) {
      Object.assign(view, said)
      const response = await app.inject(path)
      if (why === undefined) {
        assert.equal(response.statusCode, 200)
        assert.deepEqual(response.json(), { status: 'ok' })
      } else {
        assert.equal(response.statusCode, 503, JSON.stringify(said))
        assert.equal(response.headers['retry-after'], '1')
        const error = { statusCode: 503, code: 'NOT_READY', error: 'Service Unavailable', message: why }
        assert.deepEqual(response.json(), error)
      }
    }
  })

  test(`${path}?verbose lists the checks in both cases`, async (t) => {
    const { app, view } = await startApp(t)
    Object.assign(view, {
      desired: 3,
      workers: [
        { slot: 0, pid: 1, generation: 1, status: 'ready' },
        { slot: 1, pid: 2, generation: 1, status: 'draining' },
        { slot: 1, pid: 3, generation: 2, status: 'starting' },
        { slot: 2, pid: 4, generation: 1, status: 'ready' }
      ]
    })
    const ready = await app.inject(`${path}?verbose`)
    assert.equal(ready.statusCode, 200)
    const checks = { service: 'running', redis: 'up', workers: '2 of 3 ready' }
    assert.deepEqual(ready.json(), { status: 'ok', checks })
    view.redis = false
    const away = await app.inject(`${path}?verbose`)
    assert.equal(away.statusCode, 503)
    assert.deepEqual(away.json().checks, { ...checks, redis: 'away' })
    assert.equal(away.json().code, 'NOT_READY')
  })
}

test('readiness is the same from every worker', async (t) => {
  const { server, view, app } = await startApp(t, { slot: 0 })
  const other = await startApp(t, { slot: 1, redis: server })
  for (const redis of [true, false, true]) {
    view.redis = other.view.redis = redis
    const [one, two] = await Promise.all([app.inject('/readyz?verbose'), other.app.inject('/readyz?verbose')])
    assert.equal(one.statusCode, redis ? 200 : 503)
    assert.deepEqual(one.json(), two.json())
  }
})
