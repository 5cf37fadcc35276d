import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyPluginAsync } from 'fastify'
import { TOKENS } from '../helpers/admin.ts'
import { startApp } from '../helpers/app.ts'

const headers = { authorization: `Bearer ${TOKENS.ADMIN_TOKEN}` }

describe('the OpenAPI document', () => {
  test('describes the routes of the app, with its title and version', async (t) => {
    const routes: FastifyPluginAsync = async (app) => {
      app.get('/books/:id', { schema: { summary: 'One book', params: { type: 'object' } } }, async () => 'book')
      // As schemas of Zod, which are no JSON schemas.
      app.post(
        '/books',
        { schema: { summary: 'A new book', body: new (class Schema {})() }, validatorCompiler: () => () => true },
        async () => 'new'
      )
    }
    const folder = mkdtempSync(join(tmpdir(), 'app-'))
    t.after(() => rmSync(folder, { recursive: true }))
    mkdirSync(join(folder, 'src'))
    const path = join(folder, 'src/app.js')
    writeFileSync(path, '')
    writeFileSync(join(folder, 'package.json'), '{ "name": "bookshop", "version": "3.2.1" }')
    const { app, server } = await startApp(t, { routes, env: { APP: path } })
    const { info, paths } = (await app.inject('/docs/json')).json()
    assert.deepEqual(info, { title: 'bookshop', version: '3.2.1', description: '' })
    assert.equal(paths['/books/{id}'].get.summary, 'One book')
    assert.equal(paths['/books'].post.summary, 'A new book')

    const openapi = { title: 'Books', description: 'All of them' }
    const { app: named } = await startApp(t, { routes, env: { APP: path }, appOptions: { openapi }, redis: server })
    const document = (await named.inject('/docs/json')).json()
    assert.deepEqual(document.info, { title: 'Books', version: '3.2.1', description: 'All of them' })
  })

  test('has the title of the service where the app says nothing; openapi: false: there is none', async (t) => {
    const { app, server } = await startApp(t)
    assert.equal(
      (await app.inject('/docs/json')).json().info.title,
      JSON.parse(readFileSync('package.json', 'utf8')).name
    )
    const { app: without } = await startApp(t, { appOptions: { openapi: false }, env: TOKENS, redis: server })
    for (const url of ['/docs/json', '/docs']) assert.equal((await without.inject({ url, headers })).statusCode, 404)
  })

  test('leaves /docs to @fastify/swagger-ui of the app', async (t) => {
    const routes: FastifyPluginAsync = async (app) => {
      await app.register(swagger, { openapi: { info: { title: 'of the app', version: '1.0.0' } } })
      await app.register(swaggerUi, { routePrefix: '/docs' })
      app.get('/books', async () => [])
    }
    const { app } = await startApp(t, { routes, env: TOKENS })
    const document = (await app.inject('/docs/json')).json()
    assert.equal(document.info.title, 'of the app')
    assert.ok(document.paths['/books'])
    const page = await app.inject('/docs')
    assert.equal(page.statusCode, 200)
    assert.match(page.headers['content-security-policy'] as string, /script-src 'self' 'unsafe-inline'/)
    assert.equal((await app.inject('/docs/static/swagger-ui.css')).statusCode, 200)
    assert.equal((await app.inject({ url: '/admin/status', headers: {} })).statusCode, 401)
  })
})
