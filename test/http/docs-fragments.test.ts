import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
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
      const { default: routes, muster, options } = (await import(file)) as Module
      await redis.client.flushall()
      const urls: { method: 'GET'; url: string }[] = []
      const { app } = await startApp(t, {
        redis,
        routes: async (app) => {
          app.addHook('onRoute', ({ method, url }) => void urls.push({ method: method as 'GET', url }))
          await routes(app, {})
        },
        ...(muster && { appOptions: muster }),
        ...(options && { serverOptions: options })
      })
      for (const { method, url } of urls.filter(({ method }) => String(method) !== 'HEAD')) {
        const body = String(method) === 'POST' && { payload: { name: 'ada' } }
        const answer = await app.inject({ method, url: url.replace(/:\w+/, 'x'), ...body })
        assert.ok(answer.statusCode < 500, `${method} ${url}: ${answer.body}`)
      }
    })
  }
})
