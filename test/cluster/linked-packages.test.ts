import assert from 'node:assert/strict'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ROOT } from '../helpers/documents.ts'
import { once } from '../helpers/http.ts'
import { startRedis } from '../helpers/redis.ts'
import { startService, temporaryFolder } from '../helpers/service.ts'

test('packages that are symbolic links, as pnpm and npm link make them, are imported like others', async (t) => {
  const { url } = await startRedis(t)
  const folder = temporaryFolder(t)
  mkdirSync(join(folder, 'node_modules'))
  // The log of the service is a pipe here: the case in which Node does not follow the link by itself.
  symlinkSync(join(ROOT, 'node_modules/ws'), join(folder, 'node_modules/ws'))
  symlinkSync(join(ROOT, 'node_modules/fastify-plugin'), join(folder, 'node_modules/fastify-plugin'))
  const app = join(folder, 'app.mjs')
  writeFileSync(
    app,
    `import plugin from 'fastify-plugin'
     import { WebSocketServer } from 'ws'
     export default plugin(async (app) => void app.get('/', async () => typeof WebSocketServer))`
  )
  const service = await startService(t, { env: { REDIS_URL: url, APP: app }, workers: 1 })
  assert.equal((await once(service.port, 'GET', '/')).body, 'function')
})
