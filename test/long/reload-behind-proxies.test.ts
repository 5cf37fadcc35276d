import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { FRONTS, startFront } from '../helpers/fronts.ts'
import { fixture, Load } from '../helpers/load.ts'
import { missing } from '../helpers/programs.ts'
import { startRedis } from '../helpers/redis.ts'
import { startService } from '../helpers/service.ts'
import { sizeOf } from '../helpers/sizes.ts'

const RELOADS = sizeOf('RELOADS_BEHIND_PROXY', 30)

describe('a reload under load', () => {
  for (const front of FRONTS.filter(({ settings }) => settings === '')) {
    test(`behind ${front.name}, which sends no request twice, loses none`, {
      skip: missing(front.program)
    }, async (t) => {
      const { url } = await startRedis(t)
      const service = await startService(t, { env: { REDIS_URL: url, APP: fixture('slow'), CANARY_TIME: '0' } })
      const port = await startFront(t, front, service.port)
      const load = new Load(t, port, { tight: 4, fresh: 2, slow: 8, pipelined: 2, idle: 8 }, { pauseMs: 2 })
      for (let reload = 0; reload < RELOADS; reload++) {
        await load.until(load.answered + 300)
        assert.equal((await service.reload()).msg, 'rollout done')
      }
      await load.until(load.answered + 300)
      await load.stop()
      t.diagnostic(`${load.answered} requests answered, ${RELOADS} reloads`)
      assert.deepEqual([...load.failures], [])
    })
  }
})
