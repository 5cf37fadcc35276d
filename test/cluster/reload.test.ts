import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DrainStats } from '../../src/ipc/messages.ts'
import { fixture, Load } from '../helpers/load.ts'
import { startRedis } from '../helpers/redis.ts'
import { startService } from '../helpers/service.ts'
import '../helpers/uncounted.ts'

/** `.ci/run` has fewer on its second Node. */
const RELOADS = Number(process.env.RELOADS ?? 20)

test(`a reload loses nothing: ${RELOADS} under load, no request fails, open connections stay open`, async (t) => {
  const { url } = await startRedis(t)
  const service = await startService(t, {
    env: { REDIS_URL: url, APP: fixture('slow'), LOG_LEVEL: 'info', CANARY_TIME: '100' }
  })
  const load = new Load(t, service.port, { tight: 4, fresh: 2, slow: 4, pipelined: 2, idle: 20, streams: 2 })
  let handedOver = 0
  for (let i = 1; i <= RELOADS; i++) {
    const outcome = await service.reload()
    assert.equal(outcome.msg, 'rolling restart done')
    assert.equal(outcome.generation, i + 1)
    const { total, ...ended } = outcome.connections as DrainStats
    assert.equal(
      total,
      Object.values(ended).reduce((sum, count) => sum + count, 0),
      'the connections balances'
    )
    assert.equal(ended.cut, 0)
    handedOver += ended.handedOver
  }
  await load.stop()
  assert.deepEqual([...load.failures], [])
  assert.equal(load.reopened, 0, 'a connection was closed that could have stayed open')
  assert.ok(load.answered > 50 * RELOADS, `${load.answered} answers`)
  assert.ok(handedOver > 5 * RELOADS, `${handedOver} connections handed over`)
  assert.deepEqual(await service.stop(), { code: 0, signal: null })
  t.diagnostic(`${load.answered} answers, ${handedOver} connections handed over`)
})
