import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Ledger } from '../../src/ipc/messages.ts'
import { fixture, Load } from '../helpers/load.ts'
import { startRedis } from '../helpers/redis.ts'
import { startService } from '../helpers/service.ts'

// Coverage costs each process a third more CPU, and nothing runs here that other tests do not run.
delete process.env.NODE_V8_COVERAGE

test('a reload loses nothing: 20 under load, no request fails, open connections stay open', async (t) => {
  const { url } = await startRedis(t)
  const service = await startService(t, {
    env: { REDIS_URL: url, APP: fixture('slow'), LOG_LEVEL: 'info', CANARY_TIME: '100' }
  })
  const load = new Load(t, service.port, { tight: 4, fresh: 2, slow: 4, pipelined: 2, idle: 20, streams: 2 })
  let handedOver = 0
  for (let i = 1; i <= 20; i++) {
    const outcome = await service.reload()
    assert.equal(outcome.msg, 'rolling restart done')
    assert.equal(outcome.generation, i + 1)
    const { held, ...ended } = outcome.ledger as Ledger
    assert.equal(
      held,
      Object.values(ended).reduce((sum, count) => sum + count, 0),
      'the ledger balances'
    )
    assert.equal(ended.cut, 0)
    handedOver += ended.handedOver
  }
  await load.stop()
  assert.deepEqual([...load.failures], [])
  assert.equal(load.reopened, 0, 'a connection was closed that could have stayed open')
  assert.ok(load.answered > 1000, `${load.answered} answers`)
  assert.ok(handedOver > 100, `${handedOver} connections handed over`)
  assert.deepEqual(await service.stop(), { code: 0, signal: null })
  t.diagnostic(`${load.answered} answers, ${handedOver} connections handed over`)
})
