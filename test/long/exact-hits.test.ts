import { test } from 'node:test'
import { countUnderFaults } from '../helpers/hits.ts'
import '../helpers/uncounted.ts'

test('of 20,000 hits under faults, each that was answered 200 is counted exactly once', async (t) => {
  await countUnderFaults(t, 20_000, { cuts: 40, workerKills: 5, redisKills: 5, reloads: 2 })
})
