import assert from 'node:assert/strict'
import { test } from 'node:test'
import { once } from '../helpers/http.ts'
import { fixture } from '../helpers/load.ts'
import { startRedis } from '../helpers/redis.ts'
import { startService } from '../helpers/service.ts'

test("a worker's standard error becomes a field of log lines, so it cannot forge a line", async (t) => {
  const { url } = await startRedis(t)
  const service = await startService(t, { env: { REDIS_URL: url, APP: fixture('stderr') } })
  const forged = '{"level":30,"role":"primary","msg":"forged"}'
  const said = ['a word from a worker', forged, '\u001b[2Jä€', 'x'.repeat(2000), 'x'.repeat(500), 'no line end']
  const text = [...said.slice(0, 3), '', 'x'.repeat(2500), 'no line end'].join('\n')
  assert.equal((await once(service.port, 'GET', `/say?text=${encodeURIComponent(text)}`)).status, 200)
  const found = () => service.lines.filter(({ msg }) => msg === 'worker standard error')
  await service.until(() => found().length >= 5, 'five lines')
  assert.equal((await service.stop()).code, 0)
  assert.deepEqual(
    found().map(({ line }) => line),
    said
  )
  for (const { role, level, worker, slot, generation } of found()) {
    assert.deepEqual([role, level, generation], ['primary', 40, 1])
    assert.ok(service.lines.some((one) => one.msg === 'worker started' && one.worker === worker && one.slot === slot))
  }
  assert.equal(service.lines.filter(({ msg }) => msg === 'forged').length, 0)
  assert.equal(service.stderr, '')
})

test('when the primary dies, a worker that writes to standard error still finishes its request', async (t) => {
  const { url } = await startRedis(t)
  const service = await startService(t, { env: { REDIS_URL: url, APP: fixture('stderr') } })
  const answer = once(service.port, 'GET', '/say-last')
  await service.line((line) => line.msg === 'waiting')
  process.kill(service.pid, 'SIGKILL')
  assert.deepEqual([(await answer).status, (await answer).body], [200, '{"said":true}'])
  assert.equal((await service.exited).signal, 'SIGKILL')
})
