import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { FastifyPluginAsync } from 'fastify'
import { startApp } from '../helpers/app.ts'
import { startRedis } from '../helpers/redis.ts'

const JSON_TYPE = { 'content-type': 'application/json' }
const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`
const echo: FastifyPluginAsync = async (app) => {
  app.post('/echo', async ({ body }) => ({ body }))
}

describe('content type parsers of the app', () => {
  const parsers: Record<string, FastifyPluginAsync> = {
    'for JSON': async (app) => {
      app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, text, done) =>
        done(null, `own ${text}`)
      )
      await app.register(echo)
    },
    'for JSON in a nested plugin': async (app) => {
      await app.register(async (scope) => {
        scope.addContentTypeParser(
          'application/json',
          { parseAs: 'buffer' },
          async (_request: unknown, bytes: Buffer) => `own ${bytes}`
        )
        await scope.register(echo)
      })
    },
    'for all types': async (app) => {
      app.removeAllContentTypeParsers()
      app.addContentTypeParser('*', { parseAs: 'string' }, (_request, text, done) => done(null, `own ${text}`))
      await app.register(echo)
    },
    'for JSON, in place of a removed one': async (app) => {
      app.removeContentTypeParser('application/json')
      app.addContentTypeParser(/^application\/.*json/, { parseAs: 'string' }, (_request, text, done) =>
        done(null, `own ${text}`)
      )
      await app.register(echo)
    }
  }
  for (const [what, routes] of Object.entries(parsers)) {
    test(`replace those of Fastify: ${what}`, async (t) => {
      const { app } = await startApp(t, { routes })
      const response = await app.inject({ method: 'POST', url: '/echo', headers: JSON_TYPE, payload: nested(200) })
      assert.deepEqual(response.json(), { body: `own ${nested(200)}` })
    })
  }

  test('text/plain is read as in plain Fastify, and an app may read it otherwise', async (t) => {
    const request = { method: 'POST', url: '/echo', headers: { 'content-type': 'text/plain' }, payload: 'hi' } as const
    const { app, server } = await startApp(t, { routes: echo })
    assert.deepEqual((await app.inject(request)).json(), { body: 'hi' })
    const refused = await app.inject({ ...request, headers: { ...request.headers, 'sec-fetch-site': 'cross-site' } })
    assert.equal(refused.statusCode, 403, 'a form of another site')
    const routes: FastifyPluginAsync = async (scope) => {
      scope.addContentTypeParser('text/plain', { parseAs: 'string' }, (_request, text, done) =>
        done(null, `own ${text}`)
      )
      await scope.register(echo)
    }
    const { app: other } = await startApp(t, { routes, redis: server })
    assert.deepEqual((await other.inject(request)).json(), { body: 'own hi' })
  })
})

describe('JSON nested deeper than 100', () => {
  const request = (payload: string, type = 'application/json') =>
    ({ method: 'POST', url: '/echo', headers: { 'content-type': type }, payload }) as const

  test('is refused before it is validated', async (t) => {
    const routes: FastifyPluginAsync = async (app) => {
      app.post('/echo', { preValidation: async () => assert.fail('validated') }, async () => 'ok')
    }
    const { app } = await startApp(t, { routes })
    for (const payload of [
      nested(101),
      `{"a":${nested(100)}}`,
      `[1,{"a":[${'{"b":'.repeat(99)}1${'}'.repeat(99)}]}]`
    ]) {
      const response = await app.inject(request(payload))
      assert.deepEqual([response.statusCode, response.json().code], [400, 'TOO_DEEP'])
    }
    assert.equal((await app.inject(request(nested(100)))).statusCode, 500, 'reaches the hook of the route')
  })

  test('is accepted with jsonDepthCheck: false; keys that change prototypes are not', async (t) => {
    const { app } = await startApp(t, { routes: echo, appOptions: { jsonDepthCheck: false } })
    assert.deepEqual((await app.inject(request(nested(200)))).body, `{"body":${nested(200)}}`)
    assert.equal((await app.inject(request('{"__proto__":{"a":1}}'))).statusCode, 400)
  })

  test('is no matter for bodies of other kinds', async (t) => {
    const circular: { self?: object } = {}
    circular.self = circular
    const routes: FastifyPluginAsync = async (app) => {
      app.addContentTypeParser('multipart/x', (_request, payload, done) => {
        payload.resume().once('end', () => done(null, circular))
      })
      app.post('/echo', async ({ body }) => ({ isSame: body === circular }))
    }
    const { app } = await startApp(t, { routes })
    assert.deepEqual((await app.inject(request('x', 'multipart/x'))).json(), { isSame: true })
  })
})

test("a route's own bodyLimit counts, larger or smaller than BODY_LIMIT, and so does that of the app", async (t) => {
  const redis = await startRedis(t)
  const routes: FastifyPluginAsync = async (app) => {
    app.post('/usual', async () => 'ok')
    app.post('/large', { bodyLimit: 300_000 }, async () => 'ok')
    app.post('/small', { bodyLimit: 10 }, async () => 'ok')
  }
  const statuses = async (serverOptions: object) => {
    const { app } = await startApp(t, { routes, serverOptions, redis })
    const found: number[] = []
    for (const url of ['/usual', '/large', '/small']) {
      for (const length of [8, 50_000, 200_000]) {
        const payload = JSON.stringify('x'.repeat(length - 2))
        found.push((await app.inject({ method: 'POST', url, headers: JSON_TYPE, payload })).statusCode)
      }
    }
    return found
  }
  assert.deepEqual(await statuses({}), [200, 200, 413, 200, 200, 200, 200, 413, 413])
  assert.deepEqual(await statuses({ bodyLimit: 250_000 }), [200, 200, 200, 200, 200, 200, 200, 413, 413])
  assert.deepEqual(await statuses({ bodyLimit: 100 }), [200, 413, 413, 200, 200, 200, 200, 413, 413])
})

describe('options of Fastify that the app exports', () => {
  test('reach Fastify: ajv, the query parser, the router and others', async (t) => {
    const routes: FastifyPluginAsync = async (app) => {
      const querystring = { type: 'object', properties: { n: { type: 'integer' } } }
      app.get('/strict', { schema: { querystring } }, async ({ query }) => query)
      app.get('/Case', async ({ query }) => query)
    }
    const serverOptions = {
      ajv: { customOptions: { coerceTypes: false } },
      querystringParser: (text: string) => ({ text, n: '1' }),
      caseSensitive: false,
      exposeHeadRoutes: false,
      routerOptions: { ignoreDuplicateSlashes: true }
    }
    const { app } = await startApp(t, { routes, serverOptions })
    assert.equal((await app.inject('/strict')).statusCode, 400, 'the number is a text')
    assert.deepEqual((await app.inject('//case?a=b')).json(), { text: 'a=b', n: '1' })
    assert.equal((await app.inject({ method: 'HEAD', url: '/case' })).statusCode, 405)
  })

  test('choose request ids, which stay valid headers', async (t) => {
    const routes: FastifyPluginAsync = async (app) => {
      app.get('/id', async ({ id }) => ({ id }))
    }
    let made = 'made-1'
    const serverOptions = { requestIdHeader: 'X-Correlation', genReqId: () => made }
    const { app } = await startApp(t, { routes, serverOptions })
    const idOf = async (headers: Record<string, string>) => {
      const response = await app.inject({ url: '/id', headers })
      assert.equal(response.headers['x-request-id'], response.json().id)
      return response.json().id as string
    }
    assert.equal(await idOf({ 'x-correlation': 'sent', 'x-request-id': 'other' }), 'sent')
    assert.equal(await idOf({ 'x-request-id': 'other' }), 'made-1')
    made = 'not\r\nvalid'
    assert.match(await idOf({ 'x-correlation': 'nor this' }), /^[\w-]+-\d+$/)
  })

  test('are refused at the start when Fastify refuses them', async (t) => {
    await assert.rejects(startApp(t, { serverOptions: { bodyLimit: 'many' as never } }), {
      name: 'StartupError',
      message: /^Fastify refuses the options of the app: .*must be an integer/
    })
  })

  test('are refused at the start when they cannot be honoured, with the options of the service', async (t) => {
    await assert.rejects(
      startApp(t, {
        serverOptions: { trustProxy: true, logger: { level: 'debug' } },
        appOptions: { sesions: true } as never
      }),
      {
        name: 'StartupError',
        message:
          /options\.trustProxy .*TRUST_PROXY[\s\S]*options\.logger .*LOG_LEVEL[\s\S]*muster\.sesions .*sessions\?/
      }
    )
  })
})
