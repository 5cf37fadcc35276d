import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { DrainStats } from '../../src/ipc/messages.ts'
import { fixture, Load } from './load.ts'
import { startRedis } from './redis.ts'
import { startService } from './service.ts'

/** Reloads a service under load and expects that no request fails and that no open connection is closed. */
export async function reloadUnderLoad(t: TestContext, reloads: number): Promise<void> {
  const { url } = await startRedis(t)
  const service = await startService(t, {
    env: { REDIS_URL: url, APP: fixture('slow'), LOG_LEVEL: 'info', CANARY_TIME: '100' }
  })
  const load = new Load(t, service.port, { tight: 4, fresh: 2, slow: 4, pipelined: 2, idle: 20, streams: 2 })
  let handedOver = 0
  for (let i = 1; i <= reloads; i++) {
    const outcome = await service.reload()
    assert.equal(outcome.msg, 'rollout done')
    assert.equal(outcome.generation, i + 1)
    const { total, ...ended } = outcome.connections as DrainStats
    assert.equal(
      total,
      Object.values(ended).reduce((sum, count) => sum + count, 0),
      'every connection is in one of the counts'
    )
    assert.equal(ended.cut, 0)
    handedOver += ended.handedOver
  }
  await load.stop()
  assert.deepEqual([...load.failures], [])
  assert.equal(load.reopened, 0, 'a connection was closed that could have stayed open')
  assert.ok(load.answered > 50 * reloads, `${load.answered} answers`)
  assert.ok(handedOver > 5 * reloads, `${handedOver} connections handed over`)
  assert.deepEqual(await service.stop(), { code: 0, signal: null })
  t.diagnostic(`${load.answered} answers, ${handedOver} connections handed over`)
}
