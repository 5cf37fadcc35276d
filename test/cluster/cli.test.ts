import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, statSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { command } from '../helpers/admin.ts'
import { startRedis } from '../helpers/redis.ts'
import { CLI, cleanEnvironment, muster, musterStream, startService, temporaryFolder } from '../helpers/service.ts'
import '../helpers/takes-long.ts'

test('muster controls the service over a socket that only its user can open', async (t) => {
  const { url } = await startRedis(t)
  const service = await startService(t, { env: { REDIS_URL: url } })
  assert.equal(statSync(join(service.runDir, 'admin.sock')).mode & 0o777, 0o600)
  assert.equal(statSync(service.runDir).mode & 0o777, 0o700)

  const status = JSON.parse((await muster(service, 'status', '--json')).stdout) as {
    ok: boolean
    result: Record<string, unknown>
  }
  assert.equal(status.ok, true)
  assert.equal(status.result.pid, service.pid)
  assert.equal(status.result.state, 'running')
  assert.match((await muster(service, 'status')).stdout, /^slot {2}pid/m)

  assert.match((await muster(service, 'scale', '+1')).stdout, /^workers {2}3\n/)
  await service.line((line) => line.msg === 'worker ready' && line.slot === 2)
  assert.equal((await muster(service, 'scale', '-2')).code, 0)
  const refused = await muster(service, 'scale', '0')
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /a number from 1 to 128/)

  const reload = await muster(service, 'reload')
  assert.equal(reload.code, 0)
  assert.match(reload.stdout, /done/)
  assert.equal((await muster(service, 'stop')).stdout, 'ok\n')
  assert.deepEqual(await service.exited, { code: 0, signal: null })
})

test('muster status --watch and muster events run until they or the service end', async (t) => {
  const { url } = await startRedis(t)
  const service = await startService(t, { env: { REDIS_URL: url }, workers: 1 })
  const watch = musterStream(t, service, 'status', '--watch', '--json')
  const states = [await watch.next(), await watch.next()].map(({ value }) => JSON.parse(value as string))
  for (const { ok, result } of states) assert.deepEqual([ok, result.workers.length], [true, 1])
  assert.ok(states[1].result.uptimeSeconds >= states[0].result.uptimeSeconds)

  const events = musterStream(t, service, 'events')
  // Its first line is of the command that comes after it has begun to listen: so that is given until it is seen.
  const line = events.next()
  let seen = false
  void line.then(() => (seen = true))
  while (!seen) await command(service, 'settings-set', { key: 'banner', value: 'x' })
  assert.match(
    String((await line).value),
    /^\d\d:\d\d:\d\d {2}command (received|answered) {2}settings-set, uid \d+ \(\S+\)$/
  )
  await service.stop()
  let last = ''
  for await (const text of events) last = text
  assert.match(last, /^\d\d:\d\d:\d\d {2}stop {2}pid \d+/)
})

test('muster exits with 0 and without a message when its output pipe is closed', async (t) => {
  const { url } = await startRedis(t)
  const service = await startService(t, { env: { REDIS_URL: url }, workers: 1 })
  for (const words of ['status --watch', 'status --watch --json', 'events --json']) {
    const script = `"${process.execPath}" "${CLI}" ${words} | head -1; echo "\${PIPESTATUS[0]}"`
    const env = { ...cleanEnvironment(), RUN_DIR: service.runDir }
    const { stdout, stderr } = await promisify(execFile)('bash', ['-c', script], { env })
    const lines = stdout.trimEnd().split('\n')
    assert.deepEqual([lines.length, lines[1], stderr], [2, '0', ''], words)
  }
})

test('muster events and status --watch report the end of the service in one line and in their exit code', async (t) => {
  const { url } = await startRedis(t)
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    const service = await startService(t, { env: { REDIS_URL: url }, workers: 1 })
    const begin = async (...words: string[]) => {
      const env = { ...cleanEnvironment(), RUN_DIR: service.runDir }
      const child = spawn(process.execPath, [CLI, ...words], { env, stdio: ['ignore', 'pipe', 'pipe'] })
      t.after(() => child.kill('SIGKILL'))
      const ended = Promise.all([once(child, 'close'), text(child.stderr)])
      await once(child.stdout, 'data')
      child.stdout.resume()
      return { ended: ended.then(([[code], stderr]) => ({ code, stderr })) }
    }
    const [events, watch] = await Promise.all([begin('events', '--json'), begin('status', '--watch')])
    service.child.kill(signal)
    const [told, status] = await Promise.all([events.ended, watch.ended])
    const inOrder = signal === 'SIGTERM'
    assert.equal(told.stderr, `muster: the service has ended${inOrder ? '' : ' unexpectedly'}\n`)
    assert.equal(told.code, inOrder ? 0 : 1)
    assert.match(status.stderr, /^muster: (no service runs on [^\n]+|the service ended before it answered)\n$/)
    assert.equal(status.code, 1)
  }
})

test('muster explains unknown commands and a service that does not run', async (t) => {
  const nowhere = { runDir: temporaryFolder(t) }
  const gone = await muster(nowhere, 'status')
  assert.equal(gone.code, 1)
  assert.match(gone.stderr, /no service runs on .*admin\.sock/)
  assert.equal((await muster(nowhere, 'dance')).code, 2)
  assert.equal((await muster(nowhere, '--dance')).code, 2)
  assert.match((await muster(nowhere, '--help')).stdout, /^Usage: muster/)
})

test('muster why shows the history while the service runs and afterwards', async (t) => {
  const { url } = await startRedis(t)
  const service = await startService(t, { env: { REDIS_URL: url }, workers: 1 })
  await service.reload()
  appendFileSync(
    join(service.runDir, 'journal.jsonl'),
    '{"at":"2026-01-01T00:00:00.000Z","event":"killed","slot":7,"pid":42,"generation":2,"why":"it\\nhung"}\n'
  )
  const events = async (...args: string[]) => {
    const { ok, result } = JSON.parse((await muster(service, 'why', ...args, '--json')).stdout) as {
      ok: boolean
      result: { event: string; pid?: number; outcome?: string; at: string }[]
    }
    assert.equal(ok, true)
    return result
  }
  const told = await events()
  const [start] = told
  assert.equal(start?.event, 'start')
  assert.equal(start?.pid, service.pid)
  assert.ok(Date.parse(start?.at ?? '') <= Date.now(), start?.at)
  for (const event of ['starts', 'ready', 'reload begins', 'drains', 'exited']) {
    assert.ok(
      told.some((entry) => entry.event === event && (event === 'reload begins' || entry.pid)),
      event
    )
  }
  assert.equal(told.find(({ event }) => event === 'reload done')?.outcome, 'done')

  const table = (await muster(service, 'why')).stdout.split('\n')
  assert.match(table[0]!, /^ *time +event +slot +pid +gen +why$/)
  const killed = /^20(25-12-31|26-01-01) \d\d:\d\d:00 +killed +7 +42 +2 +it hung$/
  assert.ok(
    table.some((line) => killed.test(line)),
    table.join('\n')
  )
  assert.equal((await events('7')).length, 1)
  assert.equal((await events('--slot', '7', '--since', '2026-01-01')).length, 1)
  assert.deepEqual(await events('--slot', '7', '--since', '1h'), [])
  assert.equal((await muster(service, 'why', '6')).stdout, 'nothing is recorded\n')

  const refused = async () => {
    for (const slot of ['999', '-1', 'all']) {
      const { code, stderr } = await muster(service, 'why', slot)
      assert.equal(code, 2)
      assert.match(stderr, /^muster: slot: must be a number from 0 to 998, not /)
    }
  }
  await refused()
  const socketPath = join(service.runDir, 'admin.sock')
  const post = request({ socketPath, path: '/commands/why', method: 'POST' }).end('{"slot":"all"}')
  const [response] = (await once(post, 'response')) as [IncomingMessage]
  assert.equal(response.resume().statusCode, 400)
  await service.stop()
  const all = (await events()).map(({ event }) => event)
  assert.deepEqual([all[0], all.at(-1), all.includes('killed')], ['start', 'stop', true])
  assert.equal((await events('7')).length, 1)
  await refused()
})

test('muster why says that no service ever ran here', async (t) => {
  const { code, stderr } = await muster({ runDir: temporaryFolder(t) }, 'why')
  assert.equal(code, 1)
  assert.match(stderr, /no service runs on .*admin\.sock/)
})
