import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import websocket from '@fastify/websocket'
import type { FastifyPluginAsync, FastifyServerOptions } from 'fastify'
import type { AppOptions } from '../../src/http/app-options.ts'
import { startApp } from '../helpers/app.ts'
import { testOf } from '../helpers/block-tests.ts'
import { blocksOf, PAGES } from '../helpers/documents.ts'
import { asModule } from '../helpers/fragments.ts'
import { startRedis } from '../helpers/redis.ts'
import { temporaryFolder } from '../helpers/service.ts'
import { linkPackages } from '../helpers/walkthrough.ts'

interface Module {
  default: FastifyPluginAsync
  muster?: AppOptions
  options?: FastifyServerOptions
}

const fragments = PAGES.flatMap(blocksOf).filter((block) => testOf(block) === 'http/docs-fragments')

test('every piece of an app in the documentation runs in an app', async (t) => {
  const redis = await startRedis(t)
  const folder = temporaryFolder(t)
  linkPackages(folder)
  assert.ok(fragments.length >= 25, `${fragments.length} pieces`)
  for (const { page, line, code } of fragments) {
    await t.test(`${page}:${line}`, async (t) => {
      const file = join(folder, `${page.replaceAll(/\W/g, '-')}-${line}.mjs`)
      writeFileSync(file, asModule(code))
      const { default: plugin, muster, options } = (await import(file)) as Module
      await redis.client.flushall()
      const routes: { method: string; url: string }[] = []
      const { port } = await startApp(t, {
        redis,
        listen: true,
        routes: async (app) => {
          if (code.includes('websocket: true')) await app.register(websocket)
          app.addHook('onRoute', ({ method, url }) => void routes.push({ method: String(method), url }))
          await plugin(app, {})
        },
        ...(muster && { appOptions: muster }),
        ...(options && { serverOptions: options })
      })
      for (const { method, url } of routes.filter(({ method }) => /^(GET|POST)$/.test(method))) {
        const json = { headers: { 'content-type': 'application/json' }, body: '{"name":"ada"}' }
        const path = url.replace(/:\w+/, 'x')
        const answer = await fetch(`http://127.0.0.1:${port}${path}`, { method, ...(method === 'POST' && json) })
        assert.ok(answer.status < 500, `${method} ${url}: ${answer.status}`)
        // A stream does not end by itself.
        await answer.body?.cancel()
      }
    })
  }
})
