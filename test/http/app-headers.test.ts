import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { describe, type TestContext, test } from 'node:test'
import helmet from '@fastify/helmet'
import fastifyStatic from '@fastify/static'
import type { FastifyPluginAsync } from 'fastify'
import { SECURITY_HEADERS } from '../../src/http/plugins/security/security-headers.ts'
import { TOKENS } from '../helpers/admin.ts'
import { startApp } from '../helpers/app.ts'
import { once } from '../helpers/http.ts'

const STRICT = SECURITY_HEADERS['content-security-policy']!
const PAGE = '<!doctype html><title>page</title>'

/** A page in every way in which an app may send it, and other content. */
const content: FastifyPluginAsync = async (app) => {
  app.get('/text', async (_request, reply) => reply.type('text/html; charset=utf-8').send(PAGE))
  app.get('/upper-case', async (_request, reply) => reply.header('Content-Type', 'Text/HTML').send(PAGE))
  app.get('/stream', async (_request, reply) => reply.type('text/html').send(Readable.from([PAGE])))
  app.get('/web-stream', async () => new Response(PAGE, { headers: { 'content-type': 'text/html' } }))
  app.get('/raw', (_request, reply) => {
    reply.hijack()
    reply.raw.writeHead(200, { 'Content-Type': 'text/html' }).end(PAGE)
  })
  app.get('/raw-set', (_request, reply) => {
    reply.hijack()
    reply.raw.setHeader('Content-Type', 'text/html').end(PAGE)
  })
  app.get('/json', async () => ({ page: PAGE }))
  app.get('/own', async (_request, reply) =>
    reply.type('text/html').header('content-security-policy', "default-src 'self'").send(PAGE)
  )
}
const PAGES = ['/text', '/upper-case', '/stream', '/web-stream', '/raw', '/raw-set']

/** Gets headers through a worker's server, whose responses are faster, and through `app.inject`. */
async function startBoth(t: TestContext, options: Parameters<typeof startApp>[1]) {
  const { app, port } = await startApp(t, { ...options, listen: true })
  return async (path: string, headers: Record<string, string> = {}) => {
    const served = await once(port, 'GET', path, headers)
    const injected = await app.inject({ url: path, headers })
    for (const name of Object.keys(SECURITY_HEADERS)) {
      assert.equal(injected.headers[name], served.headers[name], `${path}: ${name}`)
    }
    assert.equal(injected.statusCode, served.status)
    // The client of `once` does not read chunked bodies.
    return { ...served, body: injected.body, headers: served.headers as Record<string, string | undefined> }
  }
}

test('HTML of the app may use its own origin, whichever way it is sent; JSON may use nothing', async (t) => {
  const get = await startBoth(t, { routes: content })
  for (const path of PAGES) {
    const { headers, body } = await get(path)
    assert.equal(body, PAGE, path)
    const policy = headers['content-security-policy']!
    for (const directive of ["default-src 'self'", "script-src 'self' 'unsafe-inline'", "object-src 'none'"]) {
      assert.ok(policy.split('; ').includes(directive), `${path}: ${policy}`)
    }
    assert.equal(headers['x-frame-options'], 'SAMEORIGIN')
    assert.equal(headers['x-content-type-options'], 'nosniff')
    assert.equal(headers['cache-control'], 'no-store')
  }
  const { headers } = await get('/json')
  assert.deepEqual([headers['content-security-policy'], headers['x-frame-options']], [STRICT, 'DENY'])
  assert.equal((await get('/own')).headers['content-security-policy'], "default-src 'self'")
})

test('contentSecurityPolicy is that of HTML for which the app sets none; false: HTML has none', async (t) => {
  const policy = "default-src 'self' https://cdn.example"
  const get = await startBoth(t, { routes: content, appOptions: { contentSecurityPolicy: policy } })
  for (const path of PAGES) assert.equal((await get(path)).headers['content-security-policy'], policy)
  assert.equal((await get('/own')).headers['content-security-policy'], "default-src 'self'")
  assert.equal((await get('/json')).headers['content-security-policy'], STRICT)

  const without = await startBoth(t, { routes: content, appOptions: { contentSecurityPolicy: false } })
  const { headers } = await without('/text')
  assert.deepEqual([headers['content-security-policy'], headers['x-frame-options']], [undefined, 'SAMEORIGIN'])
  assert.equal((await without('/json')).headers['content-security-policy'], STRICT)
})

test('securityHeaders: false: the service adds none', async (t) => {
  const get = await startBoth(t, { routes: content, appOptions: { securityHeaders: false } })
  for (const path of [...PAGES, '/json', '/livez']) {
    const { headers } = await get(path)
    for (const name of Object.keys(SECURITY_HEADERS)) assert.equal(headers[name], undefined, `${path}: ${name}`)
  }
  assert.equal((await get('/own')).headers['content-security-policy'], "default-src 'self'")
})

test('pages of the service keep their strict policies', async (t) => {
  const get = await startBoth(t, { env: TOKENS })
  const authorization = `Bearer ${TOKENS.ADMIN_TOKEN}`
  for (const path of ['/admin', '/docs']) {
    const { status, headers } = await get(path, { authorization })
    assert.equal(status, 200)
    assert.match(headers['content-type']!, /^text\/html/)
    assert.match(headers['content-security-policy']!, /^default-src 'none'/)
    assert.equal(headers['x-frame-options'], 'DENY')
    assert.equal(headers['cross-origin-opener-policy'], 'same-origin')
    assert.equal(headers['referrer-policy'], 'no-referrer')
  }
})

test('@fastify/helmet of the app wins header by header', async (t) => {
  const routes: FastifyPluginAsync = async (app) => {
    await app.register(helmet, {
      contentSecurityPolicy: { directives: { defaultSrc: ["'self'", 'https://cdn.example'] } },
      frameguard: { action: 'deny' },
      referrerPolicy: { policy: 'same-origin' }
    })
    await app.register(content)
  }
  const get = await startBoth(t, { routes })
  for (const path of ['/text', '/json', '/stream']) {
    const { headers } = await get(path)
    assert.match(headers['content-security-policy']!, /^default-src 'self' https:\/\/cdn\.example;/, path)
    assert.deepEqual([headers['x-frame-options'], headers['referrer-policy']], ['DENY', 'same-origin'])
    assert.equal(headers['cache-control'], 'no-store', 'helmet does not set it')
  }
})

describe('files of @fastify/static', () => {
  const site = (t: TestContext) => {
    const root = mkdtempSync(join(tmpdir(), 'site-'))
    t.after(() => rmSync(root, { recursive: true }))
    writeFileSync(join(root, 'index.html'), PAGE)
    writeFileSync(join(root, 'app.js'), 'onmessage = () => {}')
    writeFileSync(join(root, 'app.css'), 'body {}')
    return root
  }

  test('are cacheable, and a script may be a worker', async (t) => {
    const root = site(t)
    const routes: FastifyPluginAsync = async (app) => {
      await app.register(fastifyStatic, { root, cacheControl: false })
      await app.register(fastifyStatic, { root, prefix: '/aged/', maxAge: '1h', decorateReply: false })
    }
    const get = await startBoth(t, { routes })
    for (const path of ['/', '/app.js', '/app.css']) {
      const { status, headers } = await get(path)
      assert.equal(status, 200)
      assert.ok(headers.etag && headers['last-modified'])
      assert.equal(headers['cache-control'], undefined, path)
      const again = await get(path, { 'if-none-match': headers.etag! })
      assert.equal(again.status, 304)
      for (const name of ['content-security-policy', 'x-frame-options', 'cache-control']) {
        assert.equal(
          again.headers[name],
          undefined,
          `${path}: ${name} of 304 would replace that of the stored response`
        )
      }
    }
    assert.match((await get('/app.js')).headers['content-security-policy']!, /^default-src 'self'/)
    assert.equal((await get('/app.css')).headers['content-security-policy'], STRICT)
    assert.equal((await get('/aged/app.css')).headers['cache-control'], 'public, max-age=3600')
  })

  test('serve a single-page app, by a wildcard or by a not-found handler', async (t) => {
    const root = site(t)
    const fallback: FastifyPluginAsync = async (app) => {
      await app.register(fastifyStatic, { root, wildcard: false })
      app.setNotFoundHandler((_request, reply) => reply.sendFile('index.html'))
    }
    const wildcard: FastifyPluginAsync = async (app) => {
      await app.register(fastifyStatic, { root, serve: false })
      app.get('/*', (_request, reply) => reply.sendFile('index.html'))
    }
    for (const routes of [fallback, wildcard]) {
      const get = await startBoth(t, { routes })
      for (const path of ['/', '/some/page']) {
        const { status, headers, body } = await get(path)
        assert.deepEqual([status, body], [200, PAGE])
        assert.match(headers['content-security-policy']!, /^default-src 'self'/)
      }
      assert.equal((await get('/livez')).body, '{"status":"ok"}')
    }
  })

  test('that do not exist get 404 of the service', async (t) => {
    const root = site(t)
    const routes: FastifyPluginAsync = async (app) => void (await app.register(fastifyStatic, { root }))
    const get = await startBoth(t, { routes })
    const { status, body } = await get('/nope.js')
    assert.deepEqual([status, JSON.parse(body).code], [404, 'NOT_FOUND'])
  })
})
