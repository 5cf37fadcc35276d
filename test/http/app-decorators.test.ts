import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fastifyRedis from '@fastify/redis'
import type { FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import { Redis } from 'ioredis'
import { startApp } from '../helpers/app.ts'
import { startRedis } from '../helpers/redis.ts'

const TOKENS = { ADMIN_TOKEN: 'x'.repeat(32) }

describe('@fastify/redis of the app', () => {
  test('takes the place of app.redis in the scope that registers it, and in no other', async (t) => {
    const [server, other] = [await startRedis(t), await startRedis(t)]
    const routes: FastifyPluginAsync = async (scope) => {
      const own: FastifyPluginAsync = async (inner) => {
        await inner.register(fastifyRedis, { url: other.url })
        inner.get('/', async () => inner.redis.set('whose', 'theirs'))
        await inner.register(async (child) => {
          child.get('/child', async () => child.redis.get('whose'))
        })
      }
      await scope.register(own, { prefix: '/own' })
      scope.get('/', async () => scope.redis.set('whose', 'ours'))
    }
    const { app } = await startApp(t, { redis: server, routes })
    for (const url of ['/own', '/']) assert.equal((await app.inject(url)).body, 'OK')
    assert.equal((await app.inject('/own/child')).body, 'theirs')
    assert.equal(await other.client.get('whose'), 'theirs')
    assert.equal(await server.client.get('whose'), 'ours')
  })

  test('may have a client of its own or namespaces, also in an app that shares the scope of its caller', async (t) => {
    const server = await startRedis(t)
    const client = new Redis(server.url)
    t.after(() => client.disconnect())
    const ways: [options: object, ask: (redis: never) => Promise<string>][] = [
      [{ client }, (redis: Redis) => redis.ping()],
      [{ client, namespace: 'cache' }, (redis: { cache: Redis }) => redis.cache.ping()]
    ]
    for (const [options, ask] of ways) {
      const routes = fp(async (scope) => {
        await scope.register(fastifyRedis, options)
        scope.get('/', async () => ask(scope.redis as never))
      })
      const { app } = await startApp(t, { redis: server, routes })
      assert.equal((await app.inject('/')).body, 'PONG')
      assert.equal((await app.inject('/readyz')).statusCode, 200)
    }
  })

  test('that is registered twice fails as it does without the service', async (t) => {
    const server = await startRedis(t)
    const { client } = server
    const routes: FastifyPluginAsync = async (scope) => {
      for (const _ of [1, 2]) await scope.register(fastifyRedis, { client } as object)
    }
    await assert.rejects(startApp(t, { redis: server, routes }), /@fastify\/redis has already been registered/)
  })
})

test('an app may use the names of the decorators of the service for its own', async (t) => {
  const names = ['shared', 'redis', 'metrics', 'draining', 'worker', 'cluster', 'workerRequestCounts', 'sessions']
  const all = [...names, 'signInLimit', 'completion', 'openapi']
  const decorate: FastifyPluginAsync = async (scope) => {
    for (const name of all) scope.decorate(name, `${name} of the app`)
    for (const name of ['session', 'sessionStore', 'signIn', 'operator', 'cookies']) scope.decorateRequest(name, null)
    for (const name of ['setCookie', 'cookie', 'clearCookie', 'isCompleted']) scope.decorateReply(name, null)
    scope.get('/', async () => all.map((name) => scope[name as 'redis']))
  }
  for (const routes of [decorate, fp(decorate)]) {
    const { app } = await startApp(t, { routes, env: TOKENS })
    const expected = all.map((name) => `${name} of the app`)
    assert.deepEqual((await app.inject('/')).json(), expected)
    const headers = { authorization: `Bearer ${TOKENS.ADMIN_TOKEN}` }
    for (const url of ['/livez', '/readyz', '/metrics', '/docs/json']) {
      assert.equal((await app.inject({ url, headers })).statusCode, 200, url)
    }
    // The token is accepted; there is no primary in this test.
    assert.equal((await app.inject({ url: '/admin/status', headers })).json().code, 'PRIMARY_AWAY')
  }
})
