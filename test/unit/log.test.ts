import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createRedactor } from '../../src/common/log.ts'
import { missing } from '../helpers/programs.ts'
import { cleanEnvironment } from '../helpers/service.ts'

const PROGRAM = fileURLToPath(new URL('../fixtures/log-and-end.js', import.meta.url))
const LINES = 2000

/** Runs the program in a shell that redirects its standard output. */
function run(how: string, redirect: string, lines = LINES): Promise<{ code: number; stdout: string }> {
  return new Promise((resolve) => {
    const command = `"${process.execPath}" "${PROGRAM}" ${how} ${lines} 2>/dev/null ${redirect}; exit \${PIPESTATUS[0]}`
    execFile('bash', ['-c', command], { maxBuffer: 2 ** 26, env: cleanEnvironment() }, (error, stdout) =>
      resolve({ code: Number(error?.code ?? 0), stdout })
    )
  })
}

const numbers = (stdout: string) =>
  stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => (JSON.parse(line) as { i?: number }).i)
const ALL = Array.from({ length: LINES + 1 }, (_, i) => i)

describe('the last lines of a process are written', { concurrency: true }, () => {
  for (const [how, code] of Object.entries({ exit: 3, throw: 1, reject: 1, end: 0 })) {
    test(`to a pipe that is read late: ${how}`, async () => {
      const { code: ended, stdout } = await run(how, '| { sleep 0.1; cat; }')
      assert.deepEqual(numbers(stdout), ALL)
      assert.equal(ended, code)
    })
  }

  test('to a socket', async () => assert.deepEqual(numbers((await run('exit', '')).stdout), ALL))

  test('also when it is killed, except batched lines of the same turn of the event loop', async () => {
    const { stdout } = await run('kill', '| cat', 10)
    assert.deepEqual(numbers(stdout), [...ALL.slice(0, 11), undefined])
  })

  test('but a process does not wait for a pipe that is not read', async (t) => {
    const child = spawn(process.execPath, [PROGRAM, 'exit', '20000'], { stdio: ['ignore', 'pipe', 'ignore'] })
    t.after(() => child.kill('SIGKILL'))
    assert.equal(
      await Promise.race([once(child, 'exit').then(([code]) => code), sleep(10_000, 'waits', { ref: false })]),
      3
    )
  })
})

describe('the log contains no secret', () => {
  const secret = 'x"y\\z+0123456789012345678901234567'
  const redact = createRedactor([secret])
  const shown: Record<string, string> = {
    'a secret of the configuration, wherever it is': JSON.stringify({ a: `it is ${secret}!` }),
    'the cookie of a session': JSON.stringify({ text: 'cookies: a=1; sid=HUSH.HUSH; b=2' }),
    'that of https': JSON.stringify({ text: '__Host-sid=HUSH' }),
    "a session's key in Redis": 'GET muster:session:HUSH',
    'the same with another REDIS_PREFIX': 'GET shop:session:HUSH',
    'a bearer token': 'authorization: bearer HUSH',
    'the password of a URL': 'connect to redis://ada:HUSH@db:6379/0',
    'headers, as an object': JSON.stringify({
      headers: { host: 'a', cookie: 'theme=HUSH; b=HUSH', authorization: 'HUSH \\"HUSH' }
    }),
    'headers of an answer': JSON.stringify({ 'set-cookie': ['a=HUSH; Path=/HUSH'] }),
    'the id of a session': JSON.stringify({ session: { sessionId: 'HUSH' } })
  }
  for (const [what, line] of Object.entries(shown)) {
    test(what, () => {
      const hidden = redact(line)
      assert.match(hidden, /\[hidden\]/)
      assert.doesNotMatch(hidden, /HUSH|0123456789/)
      if (line.startsWith('{')) assert.doesNotThrow(() => JSON.parse(hidden), hidden)
    })
  }

  test('and leaves other text as it is', () => {
    const line = JSON.stringify({
      url: '/session',
      port: 'http://a:80/b',
      basic: 'basically',
      text: 'sid of the session: 3'
    })
    assert.equal(redact(line), line)
  })

  test('and only the name of a failed Redis command', async () => {
    const { stdout } = await run('errors', '', 0)
    const line = JSON.parse(stdout.split('\n')[1]!) as { err: { message: string; command: object } }
    assert.deepEqual(line.err.command, { name: 'get' })
    assert.equal(line.err.message, 'redis://ada:[hidden]@db failed')
    assert.doesNotMatch(stdout, /0123456789|opensesame/)
  })
})

test('on a terminal the log is readable text', { skip: missing('script') }, async () => {
  const { stdout } = await new Promise<{ stdout: string }>((resolve) =>
    execFile('script', ['-qec', `"${process.execPath}" "${PROGRAM}" exit 1`, '/dev/null'], (_, out) =>
      resolve({ stdout: out })
    )
  )
  assert.match(stdout, /^\S*\d\d:\d\d:\d\d\S* line · i 0/m)
  assert.doesNotMatch(stdout, /^\{/m)
})
