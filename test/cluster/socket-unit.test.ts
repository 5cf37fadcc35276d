import assert from 'node:assert/strict'
import { test } from 'node:test'
import { once as ask } from '../helpers/http.ts'
import { Knocker } from '../helpers/knocker.ts'
import { fixture } from '../helpers/load.ts'
import { missing } from '../helpers/programs.ts'
import { startRedis } from '../helpers/redis.ts'
import { isAlive } from '../helpers/service.ts'
import { startUnderSocketUnit } from '../helpers/socket-unit.ts'
import { until } from '../helpers/until.ts'
import { primaryOf } from '../helpers/upgrades.ts'
import '../helpers/takes-long.ts'

test('under the socket unit, a killed primary refuses no connection: requests of the meantime are answered by the next one', {
  skip: missing('setsid')
}, async (t) => {
  const { url } = await startRedis(t)
  const service = await startUnderSocketUnit(t, { workers: 1, env: { APP: fixture('slow'), REDIS_URL: url } })
  const knocker = new Knocker(t, service.port)
  for (let i = 0; i < 2; i++) {
    const killed = primaryOf(service)
    const from = service.lines.length
    process.kill(killed, 'SIGKILL')
    await until(() => !isAlive(killed), 'the end of the primary')
    const answers = await Promise.all([1, 2, 3].map((id) => ask(service.port, 'GET', `/echo?id=${id}`)))
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 200, 200]
    )
    await service.ready(1, from)
    assert.notEqual(primaryOf(service), killed)
  }
  await knocker.stop()
  assert.equal(knocker.refused, 0)
  assert.ok(knocker.opened > 10, `${knocker.opened} connections`)
  process.kill(primaryOf(service), 'SIGTERM')
  assert.deepEqual(await service.exited, { code: 0, signal: null })
})
