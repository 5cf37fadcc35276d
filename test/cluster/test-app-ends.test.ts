import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type TestContext, test } from 'node:test'
import { cleanEnvironment, processesWith, temporaryFolder } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'
import '../helpers/takes-long.ts'

const TESTING = new URL('../../src/testing/index.js', import.meta.url).href
const CREATE = `import { createTestApp } from '${TESTING}'
const app = await createTestApp(async () => {})
console.log('ready')
`

/** Runs a module in a process whose temporary folders are in `tmp`. */
function run(t: TestContext, code: string, env: Record<string, string> = {}) {
  const tmp = temporaryFolder(t)
  const child = spawn(process.execPath, ['--input-type=module', '--eval', code], {
    env: { ...cleanEnvironment(), TMPDIR: tmp, ...env },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  t.after(() => {
    child.kill('SIGKILL')
    for (const pid of processesWith(tmp)) process.kill(pid, 'SIGKILL')
  })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, stderr }))
  return { child, tmp, ended, ready: once(createInterface({ input: child.stdout }), 'line') }
}

const left = (tmp: string) => readdirSync(tmp).filter((name) => name.startsWith('muster-test-'))

test('a process ends by itself when its test apps are closed', async (t) => {
  const { ended, tmp } = run(t, `${CREATE}await (await createTestApp(async () => {})).close(); await app.close()`)
  assert.deepEqual(await ended, { code: 0, stderr: '' })
  assert.deepEqual(left(tmp), [])
})

test('a process that exits without closing its test app leaves no Redis and no folder', async (t) => {
  const { ended, tmp } = run(t, `${CREATE}process.exit(3)`)
  assert.equal((await ended).code, 3)
  assert.deepEqual(left(tmp), [])
  await until(() => processesWith(tmp).length === 0, 'the end of Redis')
})

test('a test app whose process is killed leaves no Redis', async (t) => {
  const { child, ready, ended, tmp } = run(t, `${CREATE}setInterval(() => {}, 1000)`)
  await ready
  assert.notEqual(processesWith(tmp).length, 0)
  child.kill('SIGKILL')
  await ended
  await until(() => processesWith(tmp).length === 0, 'the end of Redis')
})

test('without a Redis the error names the ways to get one, and nothing is left', async (t) => {
  const empty = join(temporaryFolder(t), 'empty')
  mkdirSync(empty)
  const none = run(t, CREATE, { PATH: empty, XDG_CACHE_HOME: empty })
  const { code, stderr } = await none.ended
  assert.equal(code, 1)
  assert.match(stderr, /Install redis-server \(6\.2 or newer\) or valkey-server, or set REDIS_URL/)
  assert.deepEqual(left(none.tmp), [])

  const away = run(t, CREATE, { REDIS_URL: 'redis://:secret@127.0.0.1:1' })
  const answer = await away.ended
  assert.equal(answer.code, 1)
  assert.match(
    answer.stderr,
    /The Redis of REDIS_URL does not answer \(.*ECONNREFUSED.*\): start it, or unset REDIS_URL/
  )
  assert.doesNotMatch(answer.stderr, /secret/)
  assert.deepEqual(left(away.tmp), [])
})

test('every problem of the configuration and the error of the app are told, and nothing is left', async (t) => {
  const wrong = run(t, CREATE, { SESSION_IDLE: 'soon', MAX_LOOP_DELAY: '-1' })
  const { stderr } = await wrong.ended
  assert.match(stderr, /SESSION_IDLE: .*"soon"/)
  assert.match(stderr, /MAX_LOOP_DELAY: /)
  assert.deepEqual(left(wrong.tmp), [])
  const failing = run(t, CREATE.replace('async () => {}', `async () => { throw new Error('no table') }`))
  assert.match((await failing.ended).stderr, /Error: no table/)
  assert.deepEqual(left(failing.tmp), [])
})
