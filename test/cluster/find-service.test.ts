import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { findService, NoServiceError } from '../../src/cli/find-service.ts'
import { isRunDirOfThisUser, runningServices } from '../../src/cli/running-services.ts'
import { startRedis } from '../helpers/redis.ts'
import { CLI, cleanEnvironment, START, type StartOptions, startService, temporaryFolder } from '../helpers/service.ts'
import '../helpers/takes-long.ts'

/** Runs the command in a folder, without RUN_DIR in the environment. */
function run(folder: string, ...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [CLI, ...args], { cwd: folder, env: cleanEnvironment() }, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr })
    )
  })
}

/** Starts a service in a folder, with a RUN_DIR there. */
async function startIn(t: TestContext, folder: string, runDir: string, options: StartOptions = {}) {
  const { url } = await startRedis(t)
  return startService(t, {
    launcher: `env -C '${folder}'`,
    command: START,
    env: { REDIS_URL: url },
    workers: 1,
    runDir,
    ...options
  })
}

/** Makes a copy of the kernel's list of Unix sockets with only those in these folders. Other tests run services as well. */
function socketsIn(t: TestContext, ...folders: string[]): string {
  const file = join(temporaryFolder(t), 'unix')
  const lines = readFileSync('/proc/net/unix', 'utf8').split('\n')
  writeFileSync(file, lines.filter((line) => folders.some((folder) => line.includes(folder))).join('\n'))
  return file
}

/** Looks for a service from a folder, as the command does, without RUN_DIR in the environment. */
async function findFrom(t: TestContext, folder: string, sockets: string) {
  const before = process.cwd()
  t.after(() => process.chdir(before))
  process.chdir(folder)
  return findService({}, sockets)
}

test('commands find the service of a parent folder, in its default RUN_DIR, or the one that its .env names', async (t) => {
  for (const runDir of ['.run', 'state']) {
    const folder = temporaryFolder(t)
    const below = join(folder, 'src/deep')
    mkdirSync(below, { recursive: true })
    if (runDir !== '.run') writeFileSync(join(folder, '.env'), `RUN_DIR=${runDir}\n`)
    const service = await startIn(t, folder, join(folder, runDir))
    const { stdout, stderr } = await run(below, 'status', '--json')
    assert.equal(JSON.parse(stdout).result.pid, service.pid, stderr)
    assert.equal(JSON.parse(stdout).result.folder, folder)
    assert.equal(stderr, '')
  }
})

test('a command elsewhere uses the only service that runs, and names it; of several it lists them', async (t) => {
  const [first, second] = [temporaryFolder(t), temporaryFolder(t)]
  const service = await startIn(t, first, join(first, '.run'))
  const elsewhere = temporaryFolder(t)
  const found = await findFrom(t, elsewhere, socketsIn(t, first))
  assert.equal(found.runDir, join(first, '.run'))
  const line = `pid ${service.pid}, http://localhost:${service.port}, folder ${first}: --run-dir ${join(first, '.run')}`
  assert.equal(found.notice, `no service of this folder runs, this is ${line}`)

  await startIn(t, second, join(second, '.run'))
  const { code, stdout, stderr } = await run(elsewhere, 'ping')
  assert.deepEqual([code, stdout], [1, ''])
  assert.match(stderr, /^muster: \d+ services run, none of them in this folder: name one\n {2}pid/)
  assert.ok(stderr.includes(`  ${line}\n`) && stderr.includes(`--run-dir ${join(second, '.run')}\n`), stderr)
  assert.equal((await run(elsewhere, 'ping', '--run-dir', join(first, '.run'))).stdout, 'pong\n')
  assert.equal(JSON.parse((await run(elsewhere, 'ping', '--json')).stdout).statusCode, 503)
})

test('a folder whose service is stopped stands for that service, so that no other one is stopped', async (t) => {
  const [here, other] = [temporaryFolder(t), temporaryFolder(t)]
  const service = await startIn(t, here, join(here, '.run'))
  await service.stop()
  const running = await startIn(t, other, join(other, '.run'))
  mkdirSync(join(here, 'src'))
  assert.equal((await run(join(here, 'src'), 'stop')).code, 1)
  const stop = await run(here, 'stop')
  assert.equal(stop.code, 1)
  assert.match(
    stop.stderr,
    /^muster: no service runs on .*admin\.sock: start one with `muster start`.*\n {2}other serv/
  )
  assert.ok(stop.stderr.includes(`--run-dir ${join(other, '.run')}`), stop.stderr)
  assert.match((await run(here, 'why')).stdout, /every worker has left/)
  assert.equal((await run(other, 'ping')).stdout, 'pong\n')
  assert.equal(running.child.exitCode, null)
})

test('where nothing runs, the message says how to start a service', async (t) => {
  const none = await findFrom(t, temporaryFolder(t), socketsIn(t, 'nowhere')).catch((error: unknown) => error)
  assert.ok(none instanceof NoServiceError)
  assert.match(none.message, /^no service runs here: start one with `muster start app\.js`, or name its RUN_DIR with/)
  assert.deepEqual(runningServices('/nonexistent'), [], 'without /proc')
})

test('sockets of folders that another user could write to are not used', async (t) => {
  const folder = temporaryFolder(t)
  const runDir = join(folder, '.run')
  await startIn(t, folder, runDir)
  const sockets = socketsIn(t, folder)
  assert.deepEqual(runningServices(sockets), [runDir])
  chmodSync(runDir, 0o777)
  assert.deepEqual(runningServices(sockets), [])
  chmodSync(runDir, 0o700)
  assert.equal(isRunDirOfThisUser(runDir), true)
  if (process.geteuid?.() !== 0) return t.diagnostic('only root can give a folder away')
  chownSync(runDir, 65534, 65534)
  assert.deepEqual(runningServices(sockets), [])
  chownSync(runDir, 0, 0)
})
