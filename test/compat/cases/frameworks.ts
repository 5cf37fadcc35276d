import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Case } from '../case.ts'
import { FOLDER } from '../installed.ts'
import { startUpstream } from '../upstream.ts'

/** Ways to build an app: folders of Fastify, middleware, and other frameworks. */
export const frameworks: Case[] = [
  {
    name: 'autoload',
    packages: ['@fastify/autoload'],
    app: 'autoload/app.js',
    async check({ visitor }) {
      assert.deepEqual((await visitor().get('/')).json, { year: new Date().getFullYear() })
      assert.deepEqual((await visitor().get('/users/7')).json, { id: '7' })
    }
  },
  {
    name: 'fastify-express',
    packages: ['@fastify/express'],
    async check({ visitor }) {
      const answer = await visitor().get('/')
      assert.deepEqual([answer.json, answer.headers.get('x-middleware')], [{ fastify: true }, 'yes'])
      assert.deepEqual((await visitor().get('/express/hello/ada')).json, { hello: 'ada' })
    }
  },
  {
    name: 'middie',
    packages: ['@fastify/middie'],
    async check({ visitor }) {
      const answer = await visitor().get('/')
      assert.deepEqual([answer.json, answer.headers.get('x-middleware')], [{ fastify: true }, 'yes'])
      assert.equal((await visitor().get('/closed')).status, 403)
    }
  },
  {
    name: 'trpc',
    packages: ['@trpc/server'],
    app: 'trpc.ts',
    load: { path: `/trpc/add?input=${encodeURIComponent('{"x":1,"y":2}')}`, body: /"data":3/ },
    async check({ visitor }) {
      const shout = await visitor().ask('POST', '/trpc/shout', { json: 'ada' })
      assert.deepEqual([shout.status, shout.json], [200, { result: { data: 'ADA' } }])
      assert.equal((await visitor().get('/trpc/add?input=1')).status, 400)
    }
  },
  {
    name: 'apollo',
    packages: ['@apollo/server', '@as-integrations/fastify'],
    load: {
      path: '/graphql?query={add(x:1,y:2)}',
      headers: { 'apollo-require-preflight': 'true' },
      body: /"add":3/
    },
    async check({ visitor }) {
      const answer = await visitor().ask('POST', '/graphql', { json: { query: '{ add(x: 2, y: 3) }' } })
      assert.deepEqual([answer.status, answer.json], [200, { data: { add: 5 } }])
    }
  },
  {
    name: 'close-with-grace',
    packages: ['close-with-grace'],
    title: 'A Fastify instance that closes itself on signals',
    async check({ visitor }) {
      assert.deepEqual((await visitor().get('/')).json, { hello: 'world' })
    }
  },
  {
    name: 'fastify-instance',
    packages: ['fastify'],
    title: 'A Fastify instance that listens itself',
    async check({ visitor }) {
      assert.deepEqual((await visitor().get('/')).json, { hello: 'world' })
      assert.deepEqual((await visitor().ask('POST', '/', { json: { a: 1 } })).json, { got: { a: 1 } })
      const absent = await visitor().get('/absent')
      assert.deepEqual([absent.status, absent.json], [404, { own: 'not found', url: '/absent' }])
      const broken = await visitor().get('/broken')
      assert.deepEqual([broken.status, broken.json], [418, { own: 'broken on purpose' }])
    }
  },
  {
    name: 'node-http',
    packages: [],
    title: 'A `(request, response)` function',
    async check({ visitor }) {
      assert.deepEqual((await visitor().get('/a?b=1')).json, { method: 'GET', url: '/a?b=1' })
    }
  },
  {
    name: 'express',
    packages: ['express'],
    async check({ visitor }) {
      assert.deepEqual((await visitor().get('/')).json, { hello: 'express' })
      const json = await visitor().ask('POST', '/echo', { json: { name: 'ada' } })
      assert.deepEqual([json.status, json.json], [201, { name: 'ada' }])
      assert.deepEqual((await visitor().ask('POST', '/echo', { form: { name: 'ada' } })).json, { name: 'ada' })
      const cookie = await visitor().get('/cookie')
      assert.deepEqual([cookie.status, cookie.headers.getSetCookie()], [302, ['seen=yes; Path=/; HttpOnly']])
      const broken = await visitor().get('/broken')
      assert.deepEqual([broken.status, broken.json], [418, { own: 'broken on purpose' }])
      assert.equal((await visitor().get('/absent')).status, 404)
    },
    async browse({ page }) {
      await page.goto('/page')
      await page.getByRole('heading', { name: 'A page' }).waitFor()
    }
  },
  {
    name: 'express-middleware',
    title: 'Express with its usual middleware',
    packages: ['compression', 'express-session', 'http-proxy-middleware', 'morgan', 'multer'],
    prepare: startUpstream,
    load: { path: '/visits', body: /"visits":1/ },
    async check({ visitor }) {
      const compressed = await visitor().get('/', { 'accept-encoding': 'gzip' })
      assert.deepEqual([compressed.headers.get('content-encoding'), compressed.json.text.length], ['gzip', 13_000])
      const ada = visitor()
      for (const visits of [1, 2, 3]) assert.deepEqual((await ada.get('/visits')).json, { visits })
      const body = new FormData()
      body.set('picture', new Blob(['x'.repeat(300_000)]), 'ada.png')
      assert.deepEqual((await visitor().ask('POST', '/upload', { body })).json, { name: 'ada.png', bytes: 300_000 })
      const sent = await visitor().ask('POST', '/proxy/echo', { json: { name: 'ada' } })
      assert.deepEqual(sent.json, { upstream: 'POST /echo', body: '{"name":"ada"}' })
      assert.equal((await visitor().get('/events')).text, 'data: 1\n\ndata: 2\n\ndata: 3\n\n')
    }
  },
  {
    name: 'koa',
    packages: ['koa'],
    async check({ visitor }) {
      const answer = await visitor().get('/')
      assert.deepEqual([answer.json, answer.headers.get('x-powered-by')], [{ hello: 'koa' }, 'koa'])
      const ada = visitor()
      assert.deepEqual((await ada.get('/cookie')).json, { seen: 1 })
      assert.deepEqual((await ada.get('/cookie')).json, { seen: 2 })
      assert.equal((await visitor().get('/absent')).status, 404)
    }
  },
  {
    name: 'hono',
    packages: ['hono', '@hono/node-server'],
    async check({ visitor }) {
      assert.deepEqual((await visitor().get('/')).json, { hello: 'hono' })
      const json = await visitor().ask('POST', '/echo', { json: { name: 'ada' } })
      assert.deepEqual([json.status, json.json], [201, { name: 'ada' }])
      const ada = visitor()
      assert.deepEqual((await ada.get('/cookie')).json, { seen: 1 })
      assert.deepEqual((await ada.get('/cookie')).json, { seen: 2 })
      assert.equal((await visitor().get('/stream')).text, 'one\ntwo\nthree\n')
      assert.equal((await visitor().get('/absent')).status, 404)
    }
  },
  {
    name: 'next',
    packages: ['next', 'react'],
    app: 'next/server.js',
    prepare: buildNext,
    load: { path: '/api/hello', body: /next/ },
    async check({ visitor }) {
      assert.match((await visitor().get('/')).text, /Hello Next/)
      assert.deepEqual((await visitor().get('/api/hello')).json, { hello: 'next' })
      assert.equal((await visitor().get('/absent')).status, 404)
    },
    async browse({ page }) {
      await page.goto('/')
      await page.getByRole('button', { name: 'Clicked 0 times' }).click()
      await page.getByRole('button', { name: 'Clicked 1 times' }).waitFor()
    }
  }
]

/** Builds the app of Next, unless it was built with the installed packages before. scripts/compat.mjs removes an old build. */
async function buildNext() {
  const folder = join(FOLDER, 'apps', 'next')
  if (!existsSync(join(folder, '.next', 'BUILD_ID'))) {
    const next = join(FOLDER, 'node_modules', 'next', 'dist', 'bin', 'next')
    const env = { ...process.env, NEXT_TELEMETRY_DISABLED: '1' }
    await promisify(execFile)(process.execPath, [next, 'build', folder], { env })
  }
  return { NEXT_TELEMETRY_DISABLED: '1', NODE_ENV: 'production' }
}
