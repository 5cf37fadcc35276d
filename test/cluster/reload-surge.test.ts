import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fixture, Load } from '../helpers/load.ts'
import { startRedis } from '../helpers/redis.ts'
import { startService } from '../helpers/service.ts'
import '../helpers/uncounted.ts'
import '../helpers/takes-long.ts'

const WORKERS = 4
const CASES = { 3: 'several workers at a time', 1: 'one worker after another' }

for (const [surge, way] of Object.entries(CASES)) {
  test(`RELOAD_SURGE=${surge}: a reload replaces ${way}, fails no request and closes no open connection`, async (t) => {
    const { url } = await startRedis(t)
    const service = await startService(t, {
      env: { REDIS_URL: url, APP: fixture('slow'), LOG_LEVEL: 'info', CANARY_TIME: '100', RELOAD_SURGE: surge },
      workers: WORKERS
    })
    const load = new Load(t, service.port, { tight: 1, fresh: 1, idle: 10, streams: 1 })
    const from = service.lines.length
    const outcome = await service.reload()
    assert.equal(outcome.msg, 'rollout done')
    await load.stop()
    assert.deepEqual([...load.failures], [])
    assert.equal(load.reopened, 0, 'a connection was closed that could have stayed open')
    assert.ok(load.answered > 0)

    // The primary writes all of these lines, so they have the order of the events.
    const lines = service.lines.slice(from)
    const at = (msg: string, slot: number) => lines.findIndex((line) => line.msg === msg && line.slot === slot)
    for (const msg of ['worker started', 'worker ready'])
      for (let slot = 0; slot < WORKERS; slot++) assert.ok(at(msg, slot) >= 0, `${msg} in slot ${slot}`)
    assert.ok(at('worker ready', 0) < at('worker started', 1), 'the first one is alone until it serves')
    const together = at('worker started', 2) < at('worker ready', 1)
    assert.equal(together, surge === '3', 'slot 2 begins before the new worker of slot 1 serves')
  })
}
