import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { sizeOf } from '../../helpers/sizes.ts'
import type { Case, Site } from '../case.ts'
import { FOLDER, TSC } from '../installed.ts'

/** Reloads of a starter app under load. */
const STARTER_RELOADS = 20

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
  },
  {
    ...starter('fastify-cli', ['@fastify/autoload', '@fastify/sensible'], 'fastify-cli/app.js'),
    load: { body: /root/ },
    check: async ({ visitor }) => {
      assert.deepEqual((await visitor().get('/')).json, { root: true })
      assert.equal((await visitor().get('/example')).text, 'this is an example')
    }
  },
  { ...starter('Express', ['express'], 'express/app.js'), check: greets('Hello World!') },
  { ...starter('Hono', ['hono', '@hono/node-server'], 'hono/index.ts'), check: greets('Hello Hono!') },
  {
    ...starter('Nest on Express', ['@nestjs/core', '@nestjs/platform-express'], 'nest/dist/main.js'),
    prepare: build('nest'),
    check: greets('Hello World!')
  },
  {
    ...starter('Nest on Fastify', ['@nestjs/core', '@nestjs/platform-fastify'], 'nest-fastify/dist/main.js'),
    prepare: build('nest-fastify'),
    check: greets('Hello World!')
  }
]

function starter(framework: string, packages: string[], app: string): Case {
  return {
    name: `starter-${framework.toLowerCase().replaceAll(' ', '-')}`,
    title: `Starter app of ${framework}, unchanged`,
    packages,
    app: `starters/${app}`,
    reloads: sizeOf('STARTER_RELOADS', STARTER_RELOADS)
  }
}

function greets(text: string) {
  return async ({ visitor }: Site) => {
    const answer = await visitor().get('/')
    assert.deepEqual([answer.status, answer.text], [200, text])
  }
}

/** Compiles a starter app, as its own build script does. */
function build(folder: string) {
  return async () => {
    await promisify(execFile)(process.execPath, [TSC, '-p', join(FOLDER, 'apps', 'starters', folder)])
    return {}
  }
}

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
