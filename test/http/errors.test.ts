import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import type { FastifyPluginAsync, InjectOptions, LightMyRequestResponse } from 'fastify'
import { HttpError } from '../../src/common/errors.ts'
import { startApp } from '../helpers/app.ts'

/** Every refusal has Fastify's shape and no further field. */
function assertRefused(response: LightMyRequestResponse, statusCode: number, code: string | RegExp): void {
  assert.equal(response.statusCode, statusCode, response.body)
  assert.match(response.headers['content-type'] as string, /^application\/json/)
  const body = response.json()
  assert.deepEqual(Object.keys(body).sort(), ['code', 'error', 'message', 'statusCode'])
  assert.equal(body.statusCode, statusCode)
  if (typeof code === 'string') assert.equal(body.code, code)
  else assert.match(body.code, code)
  assert.doesNotMatch(response.body, /\bat \S+ \(|node_modules|\.js:\d/, 'a stack')
}

const json = { 'content-type': 'application/json' }
const big = 'x'.repeat(70_000)

const refusals: Record<string, [request: InjectOptions, status: number, code: string | RegExp][]> = {
  'a path that there is not: 404': [
    [{ method: 'GET', url: '/nope' }, 404, 'NOT_FOUND'],
    [{ method: 'GET', url: '/hits/7' }, 404, 'NOT_FOUND'],
    [{ method: 'POST', url: '/nope', headers: json, payload: '{"a":1}' }, 404, 'NOT_FOUND'],
    [{ method: 'POST', url: '/nope', headers: { 'content-type': 'text/csv' }, payload: 'a,b' }, 404, 'NOT_FOUND'],
    [{ method: 'GET', url: '/admin/status' }, 404, 'NOT_FOUND'],
    [{ method: 'POST', url: '/admin/commands/stop' }, 404, 'NOT_FOUND'],
    [{ method: 'GET', url: '/assets/../../package.json' }, 404, 'NOT_FOUND'],
    [{ method: 'GET', url: '/__proto__' }, 404, 'NOT_FOUND']
  ],
  'what is no JSON: 400': [
    [{ method: 'POST', url: '/session', headers: json, payload: '{"name":' }, 400, /./],
    [{ method: 'POST', url: '/session', headers: json, payload: '' }, 400, /./],
    [{ method: 'POST', url: '/hits', headers: json, payload: 'not json' }, 400, /./],
    [{ method: 'POST', url: '/session', headers: json, payload: '{"__proto__":{"name":"x"}}' }, 400, /./]
  ],
  'arguments that are not right: 400': [
    [{ method: 'POST', url: '/session', payload: {} }, 400, 'FST_ERR_VALIDATION'],
    [{ method: 'POST', url: '/session', payload: { name: '' } }, 400, 'FST_ERR_VALIDATION'],
    [{ method: 'POST', url: '/session', payload: { name: ' \t ' } }, 400, 'FST_ERR_VALIDATION'],
    [{ method: 'POST', url: '/session', payload: { name: 'x'.repeat(65) } }, 400, 'FST_ERR_VALIDATION'],
    [{ method: 'POST', url: '/session', payload: { name: { toString: 'ada' } } }, 400, 'FST_ERR_VALIDATION'],
    [{ method: 'POST', url: '/session', payload: [] }, 400, 'FST_ERR_VALIDATION'],
    [{ method: 'POST', url: '/session', headers: json, payload: 'null' }, 400, 'FST_ERR_VALIDATION'],
    [{ method: 'POST', url: '/session' }, 400, 'FST_ERR_VALIDATION']
  ],
  'a body that is too large: 413': [
    [{ method: 'POST', url: '/session', payload: { name: big } }, 413, 'FST_ERR_CTP_BODY_TOO_LARGE'],
    [{ method: 'POST', url: '/hits', headers: json, payload: `"${big}"` }, 413, 'FST_ERR_CTP_BODY_TOO_LARGE'],
    [
      {
        method: 'POST',
        url: '/session',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        payload: `name=${big}`
      },
      413,
      'FST_ERR_CTP_BODY_TOO_LARGE'
    ]
  ],
  'a body of a kind that is not taken: 415': [
    [
      { method: 'POST', url: '/session', headers: { 'content-type': 'application/xml' }, payload: '<name>ada</name>' },
      415,
      'FST_ERR_CTP_INVALID_MEDIA_TYPE'
    ],
    [
      { method: 'POST', url: '/session', headers: { 'content-type': 'text/plain' }, payload: '{"name":"ada"}' },
      415,
      'FST_ERR_CTP_INVALID_MEDIA_TYPE'
    ],
    [
      { method: 'POST', url: '/hits', headers: { 'content-type': 'image/png' }, payload: 'x' },
      415,
      'FST_ERR_CTP_INVALID_MEDIA_TYPE'
    ]
  ]
}

for (const [promise, requests] of Object.entries(refusals)) {
  test(promise, async (t) => {
    const { app } = await startApp(t)
    for (const [request, status, code] of requests) {
      const { method, url, payload } = request as { method: string; url: string; payload?: unknown }
      const shown = payload === undefined ? '' : JSON.stringify(payload).slice(0, 40)
      await t.test(`${method} ${url} ${shown}`, async () => assertRefused(await app.inject(request), status, code))
    }
  })
}

describe('a method that a path does not have gets 405', () => {
  const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const
  const allowed: Record<string, (typeof METHODS)[number][]> = {
    '/': ['GET', 'HEAD', 'OPTIONS'],
    '/hits': ['GET', 'HEAD', 'POST', 'OPTIONS'],
    '/session': ['GET', 'HEAD', 'POST', 'DELETE', 'OPTIONS'],
    '/session/sign-out': ['POST', 'OPTIONS'],
    '/events': ['GET', 'OPTIONS'],
    '/livez': ['GET', 'HEAD', 'OPTIONS'],
    '/readyz': ['GET', 'HEAD', 'OPTIONS'],
    '/healthz': ['GET', 'HEAD', 'OPTIONS'],
    '/metrics': ['GET', 'HEAD', 'OPTIONS']
  }
  test('with the supported methods in Allow', async (t) => {
    const { app } = await startApp(t)
    for (const [url, allow] of Object.entries(allowed)) {
      const options = await app.inject({ method: 'OPTIONS', url })
      assert.equal(options.statusCode, 204)
      for (const method of METHODS.filter((one) => !allow.includes(one))) {
        const response = await app.inject({ method, url })
        if (method === 'HEAD') assert.equal(response.statusCode, 405)
        else assertRefused(response, 405, 'METHOD_NOT_ALLOWED')
        assert.deepEqual((response.headers.allow as string).split(', ').sort(), allow.toSorted(), `${method} ${url}`)
      }
    }
  })

  test('whatever the body contains', async (t) => {
    const { app } = await startApp(t)
    for (const type of ['application/json', 'application/x-www-form-urlencoded', 'text/csv']) {
      const response = await app.inject({ method: 'PUT', url: '/', headers: { 'content-type': type }, payload: 'a=1' })
      assertRefused(response, 405, 'METHOD_NOT_ALLOWED')
    }
  })

  test('on your own routes too', async (t) => {
    const routes: FastifyPluginAsync = async (app) => {
      app.put('/things/:id', async () => 'put')
    }
    const { app } = await startApp(t, { routes })
    const response = await app.inject({ method: 'DELETE', url: '/things/7' })
    assertRefused(response, 405, 'METHOD_NOT_ALLOWED')
    assert.equal(response.headers.allow, 'PUT, OPTIONS')
  })
})

describe('a handler that throws', () => {
  const throwing = (t: TestContext, error: unknown) =>
    startApp(t, {
      routes: async (app) => {
        app.get('/throws', async () => {
          throw error
        })
      }
    })

  const thrown: Record<string, unknown> = {
    'an error': new Error('SELECT password'),
    'an error of a library, with a code': Object.assign(new Error('SELECT password'), { code: 'ER_PARSE' }),
    'an error that says 503': Object.assign(new Error('SELECT password'), { statusCode: 503 }),
    text: 'SELECT password',
    nothing: undefined
  }
  for (const [what, error] of Object.entries(thrown)) {
    test(`gets 500 without details of the error: ${what}`, async (t) => {
      const { app } = await throwing(t, error)
      const response = await app.inject('/throws')
      assert.doesNotMatch(response.body, /SELECT|undefined/)
      assertRefused(response, 500, 'INTERNAL')
    })
  }

  test('gets the status and message of an HttpError', async (t) => {
    const { app } = await throwing(t, new HttpError(409, 'TAKEN', 'This one is taken', { retryAfter: 5 }))
    const response = await app.inject('/throws')
    assertRefused(response, 409, 'TAKEN')
    assert.equal(response.json().message, 'This one is taken')
    assert.equal(response.headers['retry-after'], '5')
  })
})
