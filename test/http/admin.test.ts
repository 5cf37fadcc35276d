import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { FastifyPluginAsync } from 'fastify'
import { registry } from '../../src/admin/registry.ts'
import type { PrimaryClient } from '../../src/http/plugins/admin/admin-routes.ts'
import { MAX_ATTEMPTS } from '../../src/state/shared/attempts.ts'
import { TOKENS } from '../helpers/admin.ts'
import { startApp } from '../helpers/app.ts'
import { extendedRegistry, startRunner } from '../helpers/extra-command.ts'
import { RedisProxy } from '../helpers/proxy.ts'
import { startRedis } from '../helpers/redis.ts'

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
const STATUS = { method: 'GET', path: '/admin/status' } as const
const RELOAD = { method: 'POST', path: '/admin/commands/reload' } as const

test('without configured tokens there is no admin plane', async (t) => {
  const { app } = await startApp(t)
  for (const request of [STATUS, RELOAD, { method: 'GET', path: '/docs' } as const]) {
    const { statusCode, headers } = await app.inject({ ...request, headers: bearer(TOKENS.ADMIN_TOKEN) })
    assert.equal(statusCode, 404, request.path)
    assert.equal(headers['www-authenticate'], undefined)
  }
})

describe('tokens over HTTP', () => {
  test('a missing and a wrong token get the same answer; a read token cannot change anything', async (t) => {
    const { app } = await startApp(t, { env: TOKENS })
    const answers = await Promise.all(
      [{}, bearer('x'.repeat(32)), { authorization: 'Basic abc' }, bearer('')].map((headers) =>
        app.inject({ ...STATUS, headers })
      )
    )
    for (const { statusCode, headers, body } of answers) {
      assert.equal(statusCode, 401)
      assert.equal(headers['www-authenticate'], 'Bearer')
      assert.equal(headers['cache-control'], 'no-store')
      assert.equal(body, answers[0]!.body)
    }
    assert.equal((await app.inject({ ...RELOAD, headers: bearer(TOKENS.ADMIN_READ_TOKEN) })).statusCode, 403)
    // This app has no primary: an accepted client gets 503.
    for (const [request, token] of [
      [STATUS, TOKENS.ADMIN_READ_TOKEN],
      [STATUS, TOKENS.ADMIN_TOKEN],
      [RELOAD, TOKENS.ADMIN_TOKEN]
    ] as const) {
      const { statusCode, body } = await app.inject({ ...request, headers: bearer(token) })
      assert.deepEqual([statusCode, JSON.parse(body).code], [503, 'PRIMARY_AWAY'])
      if (request === RELOAD) assert.equal(JSON.parse(body).ok, false)
    }
    assert.equal((await app.inject({ method: 'GET', path: '/admin/commands/reload' })).statusCode, 405)
    // Neither in the URL nor in a cookie.
    const elsewhere = { path: `/admin/status?token=${TOKENS.ADMIN_TOKEN}`, cookies: { token: TOKENS.ADMIN_TOKEN } }
    assert.equal((await app.inject({ method: 'GET', ...elsewhere })).statusCode, 401)
  })

  test('several tokens are valid at once, so a token can be replaced without a gap', async (t) => {
    const { app } = await startApp(t, { env: { ADMIN_TOKEN: `${'n'.repeat(32)},${'o'.repeat(32)}` } })
    for (const token of ['n'.repeat(32), 'o'.repeat(32)]) {
      assert.equal((await app.inject({ ...STATUS, headers: bearer(token) })).statusCode, 503)
    }
  })

  test('requests from pages of other sites are refused, whatever they contain', async (t) => {
    const { app } = await startApp(t, { env: TOKENS })
    for (const foreign of [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' }
    ]) {
      const headers = { ...bearer(TOKENS.ADMIN_TOKEN), ...foreign }
      assert.equal((await app.inject({ ...RELOAD, headers })).statusCode, 403, JSON.stringify(foreign))
    }
    const own = { ...bearer(TOKENS.ADMIN_TOKEN), origin: 'http://localhost:80', 'sec-fetch-site': 'same-origin' }
    assert.equal((await app.inject({ ...RELOAD, headers: { ...own, host: 'localhost:80' } })).statusCode, 503)
  })

  test('too many wrong tokens get 429, from one address or many; a valid token is always accepted', async (t) => {
    const lines: string[] = []
    const { app, redis } = await startApp(t, { env: TOKENS, onLog: (line) => lines.push(line) })
    const guess = (remoteAddress: string, token: string) =>
      app.inject({ ...STATUS, remoteAddress, headers: bearer(token) })
    const codes: number[] = []
    for (let i = 0; i < 40; i++) codes.push((await guess('192.0.2.1', `${i}`.padEnd(32, 'x'))).statusCode)
    assert.deepEqual(codes, [
      ...Array<number>(MAX_ATTEMPTS.each).fill(401),
      ...Array<number>(40 - MAX_ATTEMPTS.each).fill(429)
    ])
    const right = await guess('192.0.2.1', TOKENS.ADMIN_TOKEN)
    assert.deepEqual([right.statusCode, right.json().code], [503, 'PRIMARY_AWAY'], 'let in from the same address')
    assert.equal((await guess('192.0.2.1', 'x'.repeat(32))).headers['retry-after'], '60')
    const audit = lines.filter((line) => line.includes('"admin refused"')).map((line) => JSON.parse(line))
    assert.equal(audit.length, 41)
    assert.deepEqual([audit[0].from, audit[0].statusCode, audit[0].who], ['192.0.2.1', 401, 'a wrong token'])
    assert.equal(audit[39].statusCode, 429)
    assert.equal(lines.join().includes('39xxx'), false, 'no guess is in the log')

    // Many addresses count as one attack.
    const many = Array.from({ length: MAX_ATTEMPTS.all }, (_, i) => guess(`198.51.100.${i}`, 'x'.repeat(32)))
    await Promise.all(many)
    assert.equal((await guess('192.0.2.2', 'x'.repeat(32))).statusCode, 429)
    assert.equal((await guess('192.0.2.2', TOKENS.ADMIN_TOKEN)).statusCode, 503, 'a valid one is let in')
    for (const key of await redis.keys('muster:attempts:*')) {
      const ttl = await redis.pttl(key)
      assert.ok(ttl > 0 && ttl <= 60_000, key)
    }
  })

  test('parallel requests do not get more guesses', async (t) => {
    const { app } = await startApp(t, { env: TOKENS })
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, i) => app.inject({ ...STATUS, headers: bearer(`${i}`.padEnd(32, 'x')) }))
    )
    assert.equal(answers.filter(({ statusCode }) => statusCode === 401).length, MAX_ATTEMPTS.each)
  })

  test('requests without a token are not counted and lock no client out', async (t) => {
    const { app, redis } = await startApp(t, { env: TOKENS })
    const from = { ...STATUS, remoteAddress: '192.0.2.1' }
    for (let i = 0; i <= MAX_ATTEMPTS.all; i++) assert.equal((await app.inject(from)).statusCode, 401)
    assert.deepEqual(await redis.keys('muster:attempts:*'), [])
    const valid = await app.inject({ ...from, headers: bearer(TOKENS.ADMIN_TOKEN) })
    assert.deepEqual([valid.statusCode, valid.json().code], [503, 'PRIMARY_AWAY'])
    assert.equal(
      (await app.inject({ ...from, headers: bearer('x'.repeat(32)) })).statusCode,
      401,
      'the first wrong one'
    )
  })

  test('without Redis a valid token is accepted, and a wrong one is not confirmed as wrong', async (t) => {
    const redis = await startRedis(t)
    const proxy = await RedisProxy.start(t, redis.url)
    const { app } = await startApp(t, { redis, url: proxy.url, env: { ...TOKENS, REDIS_TIMEOUT: '200' } })
    await proxy.refuse()
    for (const [token, code] of [
      [TOKENS.ADMIN_TOKEN, 'PRIMARY_AWAY'],
      ['x'.repeat(32), 'STATE_UNAVAILABLE']
    ] as const) {
      const { statusCode, body } = await app.inject({ ...STATUS, headers: bearer(token) })
      assert.deepEqual([statusCode, JSON.parse(body).code], [503, code])
    }
  })
})

test('/docs/json describes commands and routes as OpenAPI; /docs is its page', async (t) => {
  const { app } = await startApp(t, { env: TOKENS })
  const { statusCode, body } = await app.inject({ method: 'GET', path: '/docs/json' })
  assert.equal(statusCode, 200)
  const { paths, openapi } = JSON.parse(body) as {
    openapi: string
    paths: Record<string, Record<string, { summary: string; requestBody?: { content: object } }>>
  }
  assert.match(openapi, /^3\.1/)
  for (const path of ['/', '/hits', '/session', '/metrics', '/livez', '/readyz', '/admin/status', '/admin/events']) {
    assert.ok(paths[path], path)
  }
  const documented = Object.keys(paths).flatMap((path) => /^\/admin\/commands\/(.+)$/.exec(path)?.[1] ?? [])
  assert.deepEqual(documented.sort(), [...registry.names].sort())
  for (const { name, summary, args, example } of registry.commands) {
    const operation = paths[`/admin/commands/${name}`]!.post!
    assert.equal(operation.summary, summary)
    const schema = (
      operation.requestBody?.content as Record<string, { schema: { properties?: object } }> | undefined
    )?.['application/json']?.schema
    assert.deepEqual(Object.keys(schema?.properties ?? {}), Object.keys(args.properties))
    assert.ok(JSON.stringify(operation).includes(JSON.stringify(example.result)), `${name}: no example`)
  }
  assert.equal((await app.inject({ method: 'GET', path: '/docs' })).statusCode, 401)
  const page = await app.inject({ method: 'GET', path: '/docs', headers: bearer(TOKENS.ADMIN_READ_TOKEN) })
  assert.equal(page.statusCode, 200)
  assert.match(page.body, /POST \/admin\/commands\/reload/)
})

test('/docs/json contains routes of any kind and their shared schemas', async (t) => {
  const routes: FastifyPluginAsync = async (app) => {
    app.addHttpMethod('REPORT', { hasBody: true })
    app.addSchema({ $id: 'name', type: 'string', maxLength: 7 })
    const body = { type: 'object', properties: { name: { $ref: 'name#' } } }
    app.route({ method: ['POST', 'REPORT'], url: '/find/:what', schema: { summary: 'finds', body }, handler: () => '' })
    for (const host of ['a.example', 'b.example']) app.get('/by-host', { constraints: { host } }, () => host)
  }
  const { app } = await startApp(t, { routes })
  const document = async () => (await app.inject({ method: 'GET', path: '/docs/json' })).json()
  const { paths, components } = await document()
  assert.equal(paths['/find/{what}'].post.summary, 'finds')
  assert.ok(paths['/by-host'].get)
  assert.equal(components.schemas['def-0'].maxLength, 7)
  assert.deepEqual(await document(), { ...(await document()), paths, components })
})

test('/admin/events sends its head at once, even without an event', async (t) => {
  const { port } = await startApp(t, { env: TOKENS, listen: true })
  const response = await fetch(`http://127.0.0.1:${port}/admin/events`, { headers: bearer(TOKENS.ADMIN_READ_TOKEN) })
  assert.equal(response.headers.get('content-type'), 'text/event-stream; charset=utf-8')
  assert.equal(response.headers.get('x-admin-access'), 'read')
  await response.body?.cancel()
})

test('a command that is added to the registry has a path, is in the OpenAPI document and is answered', async (t) => {
  const { runner } = startRunner()
  const primary: PrimaryClient = {
    command: (name, args, caller) => runner.run(name, args, caller),
    watch: () => () => {}
  }
  const { app } = await startApp(t, { env: TOKENS, commands: extendedRegistry, primary })
  const { paths } = (await app.inject('/docs/json')).json() as { paths: Record<string, { post: { summary: string } }> }
  assert.equal(paths['/admin/commands/greet']?.post.summary, 'greets someone')
  const { statusCode, body } = await app.inject({
    method: 'POST',
    path: '/admin/commands/greet',
    headers: bearer(TOKENS.ADMIN_TOKEN),
    payload: { name: 'Ada' }
  })
  assert.deepEqual([statusCode, JSON.parse(body).result], [200, 'Hello Ada from web-1'])
})
