import assert from 'node:assert/strict'
import { test } from 'node:test'
import { once } from '../helpers/http.ts'
import { fixture } from '../helpers/load.ts'
import { startRedis } from '../helpers/redis.ts'
import { startService } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'

test('what a worker writes to standard error comes out of the service', async (t) => {
  const { url } = await startRedis(t)
  const service = await startService(t, { env: { REDIS_URL: url, APP: fixture('stderr') } })
  assert.equal((await once(service.port, 'GET', '/say')).status, 200)
  await until(() => service.stderr === 'a word from a worker\n', 'the word')
})

test('the primary dies: a worker that writes to standard error then finishes its request all the same', async (t) => {
  const { url } = await startRedis(t)
  const service = await startService(t, { env: { REDIS_URL: url, APP: fixture('stderr') } })
  const answer = once(service.port, 'GET', '/say-last')
  await service.line((line) => line.msg === 'waiting')
  process.kill(service.pid, 'SIGKILL')
  assert.deepEqual([(await answer).status, (await answer).body], [200, '{"said":true}'])
  assert.equal((await service.exited).signal, 'SIGKILL')
})
