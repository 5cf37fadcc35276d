import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { once } from '../helpers/http.ts'
import { startRedis } from '../helpers/redis.ts'
import { CLI, cleanEnvironment, START, type StartOptions, startService, temporaryFolder } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'
import '../helpers/uncounted.ts'
import '../helpers/takes-long.ts'

const MODULES = fileURLToPath(new URL('../../../node_modules', import.meta.url))
const INDEX = new URL('../../src/index.js', import.meta.url).href

/** A folder with these files, in which packages of the project are installed. */
function project(t: TestContext, files: Record<string, string | object>): string {
  const folder = temporaryFolder(t)
  symlinkSync(MODULES, join(folder, 'node_modules'))
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content))
  }
  return folder
}

const startIn = (t: TestContext, folder: string, command: string, options: StartOptions = {}) =>
  startService(t, { launcher: `env -C '${folder}'`, command, ...options })

/** Runs the command in a folder until it ends. */
function run(folder: string, ...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [CLI, ...args], { cwd: folder, env: cleanEnvironment() }, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr })
    )
  })
}

test('muster start serves an app with what .env and the config file say, and other commands find the service', async (t) => {
  const { url } = await startRedis(t)
  const runDir = temporaryFolder(t)
  const folder = project(t, {
    '.env': 'GREETING=from .env\nWORKERS=1\n',
    'muster.config.json': {
      workers: 3,
      runDir,
      redisUrl: url,
      service: { sessions: false, paths: { livez: '/alive' } }
    },
    'app.mjs': `export const muster = { paths: { readyz: '/ready' } }
      export default async function (app) { app.get('/greeting', async () => process.env.GREETING) }`
  })
  const env = { RUN_DIR: '', WORKERS: '', APP: '' }
  const service = await startIn(t, folder, `${START} app.mjs`, { env, runDir, workers: 1 })
  assert.equal((await once(service.port, 'GET', '/greeting')).body, 'from .env')
  assert.equal((await once(service.port, 'GET', '/alive')).status, 200)
  assert.equal((await once(service.port, 'GET', '/ready')).status, 200)
  assert.equal((await once(service.port, 'GET', '/livez')).status, 404)
  const status = await run(folder, 'status', '--json')
  assert.equal(JSON.parse(status.stdout).result.desired, 1, status.stderr)
  assert.equal((await run(folder, 'ping', '--run-dir', temporaryFolder(t))).code, 1)
  assert.deepEqual(await service.stop(), { code: 0, signal: null })
})

test('an app and a config file in TypeScript need no build, and a reload serves the changed code', async (t) => {
  const { url } = await startRedis(t)
  const folder = project(t, {
    'package.json': { type: 'module' },
    'muster.config.ts': `import { defineConfig } from '${INDEX}'\nexport default defineConfig({ app: 'app.ts', workers: 1 })`,
    'text.ts': `export const text: string = 'first'`,
    'app.ts': `import type { FastifyInstance } from 'fastify'
      import { text } from './text.ts'
      export default async (app: FastifyInstance): Promise<void> => void app.get('/', async () => text)`
  })
  const env = { REDIS_URL: url, APP: '', WORKERS: '' }
  const service = await startIn(t, folder, START, { env, workers: 1 })
  assert.equal((await once(service.port, 'GET', '/')).body, 'first')
  writeFileSync(join(folder, 'text.ts'), `export const text: string = 'second'`)
  assert.equal((await service.reload()).msg, 'rollout done')
  assert.equal((await once(service.port, 'GET', '/')).body, 'second')
  assert.deepEqual(await service.stop(), { code: 0, signal: null })
})

test('a program starts a service with start(), and its workers do not run the program', async (t) => {
  const { url } = await startRedis(t)
  const folder = project(t, {
    'app.mjs': `import { defineApp } from '${INDEX}'
      export default defineApp(async (app) => { app.get('/', async (request) => String(request.session)) }, { sessions: false })`,
    'server.mjs': `import { start } from '${INDEX}'
      const service = await start({ app: 'app.mjs', workers: 1 })
      const { status } = await fetch('http://127.0.0.1:' + service.port + '/readyz')
      process.stderr.write('started ' + status)
      process.on('message', () => service.stop())`
  })
  const env = { REDIS_URL: url, APP: '', WORKERS: '' }
  const service = await startIn(t, folder, `'${process.execPath}' server.mjs`, { env, workers: 1 })
  assert.match((await once(service.port, 'GET', '/')).body, /^(null|undefined)$/)
  await until(() => service.stderr.includes('started'), 'the end of start()')
  assert.equal(service.stderr.split('started 200').length, 2, service.stderr)
  assert.deepEqual(await service.stop(), { code: 0, signal: null })
})

test('start() rejects with all issues', async (t) => {
  const folder = project(t, {
    'server.mjs': `import { start } from '${INDEX}'
      await start({ port: 99999, host: 1, app: 'none.js' }).catch((error) => console.log(error.message))`
  })
  const said = await new Promise<string>((resolve) => {
    execFile(process.execPath, ['server.mjs'], { cwd: folder, env: cleanEnvironment() }, (_error, stdout) =>
      resolve(stdout)
    )
  })
  assert.match(
    said,
    /^invalid configuration:\n {2}- PORT: must be <= 65535, not "99999" \(from start\(\)\)\n {2}- APP: module/
  )
})

test('mistakes on the command line end with code 2 and name the flag, a wrong configuration with code 78', async (t) => {
  const folder = project(t, {})
  const unknown = await run(folder, 'start', 'app.js', '--wokers', '2')
  assert.deepEqual([unknown.code, unknown.stderr], [2, 'muster: unknown flag --wokers, did you mean --workers?\n'])
  const none = await run(folder, 'start')
  assert.equal(none.code, 78)
  assert.match(
    none.stderr,
    /^muster: invalid configuration:\n {2}- APP: names no app: run `muster start app\.js`, or set APP\n$/
  )
  const { code, stdout } = await run(folder, 'start', '--help')
  assert.equal(code, 0)
  assert.ok(stdout.split('\n').length <= 24 && stdout.split('\n').every((line) => line.length <= 80), stdout)
  for (const flag of ['--port', '--workers', '--redis-url', '--config']) assert.ok(stdout.includes(flag))
})
