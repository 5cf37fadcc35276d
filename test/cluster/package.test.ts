import assert from 'node:assert/strict'
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { once } from '../helpers/http.ts'
import { install, pack, ROOT, run } from '../helpers/package.ts'
import { startRedis } from '../helpers/redis.ts'
import { startService } from '../helpers/service.ts'
import '../helpers/takes-long.ts'
import '../helpers/uncounted.ts'

const MIB = 2 ** 20

const APP = `export default async function (app) {
  app.get('/hello', async () => ({ hits: await app.shared.hits.increment(), worker: app.worker.slot }))
}`

const TYPED_APP = `import type { FastifyInstance } from 'fastify'
import { type AppOptions, defineApp, defineConfig, HttpError, type Shared, start, type StartOptions } from 'muster-serve'
import { createTestApp, type TestAppOptions } from 'muster-serve/testing'

declare module 'fastify' {
  interface Session {
    cart?: string[]
  }
}

async function plugin(app: FastifyInstance): Promise<void> {
  const limit = { max: 3, timeWindow: 1000 }
  app.get('/', { config: { session: false, rateLimit: limit, requestTimeout: 5, quiet: true } }, async () => {
    const hits: number = await app.shared.hits.increment()
    const aborted: boolean = await app.shared.lock('x', 1000, async ({ signal }) => signal.aborted)
    return { hits, aborted, slot: app.worker.slot, pong: await app.redis.ping(), state: app.cluster().state }
  })
  app.post('/cart', async (request, reply) => {
    request.session.cart = [...(request.session.cart ?? []), 'x']
    if (request.session.cart.length > 9) throw new HttpError(400, 'FULL', 'The cart is full')
    await app.sessions.signIn(request, 'ada')
    app.draining.addEventListener('abort', () => void reply.send('bye'))
    request.log.info({ name: request.session.name, since: request.session.createdAt })
    return request.session.cart
  })
}

export const muster: AppOptions = { paths: { livez: '/alive', metrics: false }, openapi: { title: 'Shop' } }
export const settings: StartOptions = defineConfig({ port: 3000, workers: 2, trustProxy: ['10.0.0.1'], service: muster })
export const count = (shared: Shared) => shared.counter('orders').increment()
export const run = async (): Promise<number | undefined> => (await start(settings)).port
export const testOptions: TestAppOptions = { env: { SESSION_IDLE: '1000' }, service: muster }
export const tested = async (): Promise<number> => {
  const app = await createTestApp(plugin, testOptions)
  const other = await createTestApp({ default: plugin, muster }, { sharesStateWith: app })
  await other.inject('/')
  return app.shared.hits.read()
}
export default defineApp(plugin, muster)
`

test('the package is small, installs from its tarball, and starts an app of five lines', async (t) => {
  const { file, size, unpackedSize, files } = await pack(t)
  t.diagnostic(`${Math.round(size / 1024)} KiB, unpacked ${Math.round(unpackedSize / 1024)} KiB, ${files.length} files`)
  assert.ok(size < MIB / 2 && unpackedSize < 1.75 * MIB, `${size} and ${unpackedSize} bytes`)
  const unexpected = files.filter(
    ({ path }) =>
      !/^(dist\/src\/(?!routes\/)|deploy\/|(README|CHANGELOG)\.md$|LICENSE$|package\.json$|\.env\.example$)/.test(path)
  )
  assert.deepEqual(unexpected, [])
  assert.deepEqual(
    files.filter(({ path }) => /\.(map|ts)$/.test(path.replace(/\.d\.ts$|^dist\/src\/cli\/init\/templates\/.*/, ''))),
    []
  )

  const folder = await install(t, file)
  writeFileSync(join(folder, 'app.mjs'), APP)
  const { url } = await startRedis(t)
  const launcher = `env -C '${folder}'`
  const env = { REDIS_URL: url, APP: '' }
  const service = await startService(t, { env, launcher, command: 'npx muster start app.mjs' })
  assert.deepEqual(JSON.parse((await once(service.port, 'GET', '/hello')).body).hits, 1)
  const { stdout } = await run(folder, 'npx', 'muster', 'status', '--json', '--run-dir', service.runDir)
  assert.equal(JSON.parse(stdout).result.workers.length, 2)
  await run(folder, 'npx', 'muster', 'reload', '--run-dir', service.runDir)
  // npx does not pass a signal on that only it receives.
  await run(folder, 'npx', 'muster', 'stop', '--run-dir', service.runDir)
  assert.deepEqual(await service.exited, { code: 0, signal: null })

  await assertTypes(folder)
})

/** Checks apps of users with the strictest compiler options. The plugins are those of the project. */
async function assertTypes(folder: string): Promise<void> {
  const modules = join(folder, 'node_modules')
  mkdirSync(join(modules, '@types'), { recursive: true })
  const link = (name: string) => symlinkSync(join(ROOT, 'node_modules', name), join(modules, name))
  for (const name of ['@types/node', 'undici-types', '@fastify/cors', '@fastify/redis']) {
    if (!existsSync(join(modules, name))) link(name)
  }
  writeFileSync(join(folder, 'app.ts'), TYPED_APP)
  const plugin = (name: string, use: string) => `import type { FastifyInstance } from 'fastify'
import plugin from '@fastify/${name}'
import type {} from 'muster-serve'
export default async function (app: FastifyInstance) {
  await app.register(plugin${name === 'session' ? `, { secret: 'x' }` : ''})
  app.get('/', async (request, reply) => reply.send(${use}))
}
`
  writeFileSync(join(folder, 'cookie.ts'), plugin('cookie', 'request.cookies'))
  writeFileSync(join(folder, 'session.ts'), plugin('session', 'request.session.sessionId'))
  writeFileSync(join(folder, 'redis.ts'), plugin('redis', 'await app.redis.ping()'))
  const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc')
  const options = ['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--target', 'es2022', '--types', 'node']
  const compile = (module: string, resolution: string, ...files: string[]) =>
    run(
      folder,
      process.execPath,
      tsc,
      ...options,
      '--module',
      module,
      '--moduleResolution',
      resolution,
      ...files
    ).catch(({ stdout }: { stdout: string }) => assert.fail(`${module}: ${stdout}`))
  await compile('nodenext', 'nodenext', 'app.ts')
  await compile('esnext', 'bundler', 'app.ts', 'cookie.ts', 'session.ts', 'redis.ts')
}
