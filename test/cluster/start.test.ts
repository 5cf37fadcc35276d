import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chownSync, lchownSync, lstatSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fixture } from '../helpers/load.ts'
import { startRedis } from '../helpers/redis.ts'
import { type StartOptions, startService, temporaryFolder } from '../helpers/service.ts'

/** Starts a service that cannot, and gives what it says. */
async function refusal(t: TestContext, env: Record<string, string>, options: StartOptions = {}): Promise<string> {
  const service = await startService(t, { env: { REDIS_URL: 'unix:///nowhere', ...env }, wait: false, ...options })
  assert.deepEqual(await service.exited, { code: 78, signal: null }, service.tail())
  return service.stderr
}

test('invalid variables stop the start, and the error names all of them', async (t) => {
  const said = await refusal(t, {
    PORT: 'http',
    WORKERS: '0',
    APP: 'nowhere.mjs',
    SESSION_SECRET: 'short',
    LOG_LEVEL: 'loud'
  })
  for (const name of ['PORT', 'WORKERS', 'LOG_LEVEL']) assert.match(said, new RegExp(`^ {2}- ${name}: `, 'm'))
  assert.doesNotMatch(said, /short/, 'a secret is never shown')
  assert.match(
    await refusal(t, { WORKERS: 'many' }),
    /WORKERS: must be a number of worker processes from 1 to 999, auto for one per available core, or a range/
  )
  assert.match(await refusal(t, { APP: 'nowhere.mjs' }), /APP: module ".*nowhere\.mjs" not found: /)
})

test('an occupied port stops the start with a remedy', async (t) => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.after(() => other.close())
  const { port } = other.address() as { port: number }
  for (const SCHEDULING of ['rr', 'shared', 'sticky']) {
    const said = await refusal(t, { PORT: String(port), SCHEDULING })
    assert.match(said, new RegExp(`port ${port} of 127.0.0.1 is taken by another process: end it, or set PORT`))
  }
})

test('a HOST that is not an address of this machine stops the start', async (t) => {
  assert.match(await refusal(t, { HOST: '192.0.2.1' }), /HOST 192\.0\.2\.1 is not an address of this machine/)
})

test('a RUN_DIR that cannot be written stops the start', async (t) => {
  const file = join(temporaryFolder(t), 'file')
  writeFileSync(file, '')
  assert.match(await refusal(t, {}, { runDir: join(file, 'run') }), /RUN_DIR .*\/file\/run cannot be written/)
})

test('a RUN_DIR that cannot be created stops the start at once, also below /proc', async (t) => {
  const started = performance.now()
  for (const runDir of ['/proc/foo', '/proc/foo/bar', '/dev/null/run']) {
    assert.match(await refusal(t, {}, { runDir }), new RegExp(`RUN_DIR ${runDir} cannot be written: \\w+: `))
  }
  // Each is a start of Node; before, the first one never ended.
  assert.ok(performance.now() - started < 60_000)
})

test('a RUN_DIR that another user owns is refused, and nothing in it is used or changed', async (t) => {
  const isRoot = process.geteuid?.() === 0
  const runDir = isRoot ? join(temporaryFolder(t), 'run') : '/usr'
  if (isRoot) {
    mkdirSync(runDir)
    writeFileSync(join(runDir, 'session-secret'), 'planted'.padEnd(64, '.'))
    chownSync(runDir, 4242, 4242)
  }
  const before = lstatSync(runDir)
  const said = await refusal(t, {}, { runDir })
  assert.match(said, new RegExp(`RUN_DIR ${runDir} is not safe: ${runDir} belongs to the user ${before.uid}`))
  assert.deepEqual(lstatSync(runDir).mode, before.mode)
})

test('a RUN_DIR that contains a link or a file of another user is refused', async (t) => {
  const runDir = temporaryFolder(t)
  const target = join(temporaryFolder(t), 'target')
  writeFileSync(target, 'as it was')
  for (const name of ['muster.pid', 'session-secret', 'journal.jsonl', 'admin.sock', 'redis']) {
    symlinkSync(target, join(runDir, name))
    assert.match(await refusal(t, {}, { runDir }), new RegExp(`is not safe: \\S+/${name} is a symbolic link`))
    rmSync(join(runDir, name))
  }
  assert.equal(readFileSync(target, 'utf8'), 'as it was')
  if (process.geteuid?.() !== 0) return
  writeFileSync(join(runDir, 'session-secret'), 'planted'.padEnd(64, '.'))
  chownSync(join(runDir, 'session-secret'), 4242, 4242)
  assert.match(await refusal(t, {}, { runDir }), /is not safe: \S+\/session-secret belongs to the user 4242/)
})

test('a RUN_DIR may be a link of this user or of root, and no other link', async (t) => {
  const { url } = await startRedis(t)
  const target = join(temporaryFolder(t), 'target')
  mkdirSync(target)
  const runDir = join(temporaryFolder(t), 'link')
  symlinkSync(target, runDir)
  const service = await startService(t, { env: { REDIS_URL: url }, runDir, workers: 1 })
  assert.equal(lstatSync(target).mode & 0o777, 0o700)
  assert.equal(readFileSync(join(target, 'muster.pid'), 'utf8'), `${service.pid}\n`)
  await service.stop()
  if (process.geteuid?.() !== 0) return
  lchownSync(runDir, 4242, 4242)
  assert.match(await refusal(t, {}, { runDir }), /link is not safe: \S+\/link belongs to the user 4242/)
})

test('a second primary in the same RUN_DIR names the first one and leaves it alone', async (t) => {
  const { url } = await startRedis(t)
  const first = await startService(t, { env: { REDIS_URL: url }, workers: 1 })
  const said = await refusal(t, { REDIS_URL: url }, { runDir: first.runDir })
  assert.match(said, new RegExp(`another primary \\(pid ${first.pid}\\) runs on RUN_DIR`))
  assert.equal((await fetch(`${first.url}/hits`, { method: 'POST' })).status, 200)
})

test('an APP that cannot boot stops the first start with the reason', async (t) => {
  assert.match(await refusal(t, { APP: fixture('crash-on-boot') }), /cannot boot: Error: this release is broken/)
  const noPlugin = join(temporaryFolder(t), 'app.mjs')
  writeFileSync(noPlugin, 'export default 42\n')
  assert.match(await refusal(t, { APP: noPlugin }), /the default export of .*app\.mjs is a number/)
})

test('a syntax error in APP or its imports is shown with file, line, column and source', async (t) => {
  const folder = temporaryFolder(t)
  const write = (name: string, text: string) => writeFileSync(join(folder, name), text)
  mkdirSync(join(folder, 'lib'))
  write('ran', 'no')
  const ran = `import { writeFileSync } from 'node:fs'\nwriteFileSync('${join(folder, 'ran')}', 'yes')\n`
  write('broken.mjs', `${ran}export default async (app) => {\n  const port = = 8080\n}\n`)
  write('lib/deep.mjs', 'export const a = 1\nexport const b = 1 + )\n')
  write('imports.mjs', `${ran}import './lib/deep.mjs'\nexport default async () => {}\n`)
  write('common.cjs', 'let a = 1\nlet a = 2\nmodule.exports = async () => {}\n')
  write('no-export.mjs', "import { b } from './lib/good.mjs'\nexport default async () => {}\n")
  write('lib/good.mjs', 'export const a = 1\n')
  const cases: [app: string, said: string][] = [
    ['broken.mjs', "broken.mjs:4:16: SyntaxError: Unexpected token '='\n  const port = = 8080\n               ^\n"],
    [
      'imports.mjs',
      "lib/deep.mjs:2:22: SyntaxError: Unexpected token ')'\nexport const b = 1 + )\n                     ^\n"
    ],
    ['common.cjs', "common.cjs:2:5: SyntaxError: Identifier 'a' has already been declared\nlet a = 2\n    ^\n"],
    [
      'no-export.mjs',
      "no-export.mjs:1:10: SyntaxError: The requested module './lib/good.mjs' does not provide an export"
    ]
  ]
  for (const [app, expected] of cases) {
    const said = await refusal(t, { APP: join(folder, app) }, { workers: 1 })
    assert.ok(said.includes(`muster: APP cannot be loaded: ${folder}/${expected}`), said)
    assert.doesNotMatch(said, /node:internal|\n +at /)
  }
  assert.equal(readFileSync(join(folder, 'ran'), 'utf8'), 'no')
})

test("an APP that throws while it loads is shown with its own stack, without Node's", async (t) => {
  const said = await refusal(t, { APP: fixture('crash-on-boot') })
  assert.match(said, /cannot boot: Error: this release is broken\n +at .*crash-on-boot/)
  assert.doesNotMatch(said, /node:internal/)
})

test('an APP that never gets ready stops the first start after three times BOOT_TIMEOUT', async (t) => {
  const said = await refusal(t, { APP: fixture('never-ready'), BOOT_TIMEOUT: '700' }, { workers: 1 })
  assert.match(said, /worker 0 was not ready in 700 ms/)
})

test('a wrong Redis password is a configuration error, not an outage', async (t) => {
  const { url, client } = await startRedis(t)
  await client.config('SET', 'requirepass', 'right')
  const said = await refusal(t, { REDIS_URL: url })
  assert.match(said, /Redis refuses what REDIS_URL says: NOAUTH/)
})

test('without Redis, workers boot and readiness fails until Redis is there', async (t) => {
  const { url, server } = await startRedis(t)
  await server.stop()
  const service = await startService(t, { env: { REDIS_URL: url } })
  const ready = await fetch(`${service.url}/readyz`)
  assert.equal(ready.status, 503)
  assert.equal(ready.headers.get('retry-after'), '1')
  assert.equal((await fetch(`${service.url}/livez`)).status, 200)
  const hit = await fetch(`${service.url}/`)
  assert.equal(hit.status, 503)
  assert.deepEqual(await hit.json(), {
    statusCode: 503,
    code: 'STATE_UNAVAILABLE',
    error: 'Service Unavailable',
    message: 'The shared state is not available at the moment'
  })
  await service.line((line) => line.msg === 'Redis is away' && String(line.cause).includes('ENOENT'))
})
