import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { startRedis } from '../helpers/redis.ts'
import { muster, startService, temporaryFolder } from '../helpers/service.ts'

test('muster steers the service over a socket that only its user can open', async (t) => {
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

  assert.match((await muster(service, 'scale', '+1')).stdout, /^workers\n3/)
  await service.line((line) => line.msg === 'worker is ready' && line.slot === 2)
  assert.equal((await muster(service, 'scale', '-2')).code, 0)
  const refused = await muster(service, 'scale', '0')
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /a number from 1 to 999/)

  const reload = await muster(service, 'reload')
  assert.equal(reload.code, 0)
  assert.match(reload.stdout, /done/)
  assert.equal((await muster(service, 'stop')).stdout, 'ok\n')
  assert.deepEqual(await service.exited, { code: 0, signal: null })
})

test('muster says what it cannot do', async (t) => {
  const nowhere = { runDir: temporaryFolder(t) }
  const gone = await muster(nowhere, 'status')
  assert.equal(gone.code, 1)
  assert.match(gone.stderr, /no muster runs on .*admin\.sock/)
  assert.equal((await muster(nowhere, 'dance')).code, 2)
  assert.equal((await muster(nowhere, '--dance')).code, 2)
  assert.match((await muster(nowhere, '--help')).stdout, /^Usage: muster/)
})
