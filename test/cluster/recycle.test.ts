import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fixture, Load } from '../helpers/load.ts'
import { startRedis } from '../helpers/redis.ts'
import { muster, type Service, startService } from '../helpers/service.ts'
import '../helpers/takes-long.ts'
import '../helpers/uncounted.ts'

const restarts = async (service: Service) => {
  const { stdout } = await muster(service, 'status', '--json')
  return (JSON.parse(stdout) as { result: { restarts: Record<string, number> } }).result.restarts
}

test('a worker above MAX_MEMORY is replaced under load, and no request fails', async (t) => {
  const { url } = await startRedis(t)
  const service = await startService(t, { env: { REDIS_URL: url, APP: fixture('leak'), MAX_MEMORY: '220' } })
  const load = new Load(t, service.port, { tight: 2, fresh: 1, idle: 5 })
  await service.line(({ msg, why }) => msg === 'worker started' && why === 'recycled: memory')
  await service.line(({ msg, status }) => msg === 'worker exited' && status === 'draining')
  await load.stop()
  assert.deepEqual([...load.failures], [])
  assert.equal(load.reopened, 0)
  assert.ok((await restarts(service)).memory! >= 1)
})

test('a worker is replaced after MAX_REQUESTS and by command, and the journal says why', async (t) => {
  const { url } = await startRedis(t)
  const env = { REDIS_URL: url, APP: fixture('slow'), MAX_REQUESTS: '3000' }
  const service = await startService(t, { env, workers: 1 })
  const load = new Load(t, service.port, { tight: 2, fresh: 1, slow: 2, idle: 5, streams: 1 })
  await service.line(({ msg, status }) => msg === 'worker exited' && status === 'draining')
  const { code, stdout } = await muster(service, 'recycle', '0', '--json')
  assert.equal(code, 0, stdout)
  const { result } = JSON.parse(stdout) as { result: { slot: number; pid: number } }
  await service.until(() => service.workers().has(result.pid), 'the start of the new worker')
  await load.stop()
  assert.deepEqual([...load.failures], [])
  assert.equal(load.reopened, 0)
  const { requests, asked } = await restarts(service)
  assert.ok(requests! >= 1 && asked === 1)
  const journal = readFileSync(join(service.runDir, 'journal.jsonl'), 'utf8').trim().split('\n')
  const whys = journal.map((line) => (JSON.parse(line) as { why?: string }).why)
  assert.ok(whys.includes('recycled: requests') && whys.includes('recycled: asked'))
})

test('a slot without a worker cannot be recycled', async (t) => {
  const { url } = await startRedis(t)
  const service = await startService(t, { env: { REDIS_URL: url }, workers: 1 })
  for (const slot of ['7', 'x', '-1']) {
    const { code, stderr } = await muster(service, 'recycle', slot)
    assert.equal(code, slot === '7' ? 1 : 2)
    assert.match(
      stderr,
      /^muster: slot: (no worker serves 7; slots with a worker are 0|must be a number from 0 to 998, not "(x|-1)")$/m
    )
  }
})
