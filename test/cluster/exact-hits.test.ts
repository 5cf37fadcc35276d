import assert from 'node:assert/strict'
import { test } from 'node:test'
import { countUnderCuts, countUnderFaults } from '../helpers/hits.ts'
import { once } from '../helpers/http.ts'
import { startRedis } from '../helpers/redis.ts'
import { startService } from '../helpers/service.ts'
import '../helpers/uncounted.ts'
import '../helpers/takes-long.ts'

test('200 concurrent hits on 4 workers get 200 different numbers', async (t) => {
  const { url, client } = await startRedis(t)
  const service = await startService(t, { env: { REDIS_URL: url }, workers: 4 })
  const answers = await Promise.all(Array.from({ length: 200 }, () => once(service.port, 'POST', '/hits')))
  const numbers = answers.map(({ body }) => (JSON.parse(body) as { hits: number }).hits).sort((a, b) => a - b)
  assert.deepEqual(
    numbers,
    Array.from({ length: 200 }, (_, i) => i + 1)
  )
  assert.equal(await client.get('muster:hits'), '200')
})

test('lost answers of Redis cause no error: every hit is counted exactly once', (t) => countUnderCuts(t, 10))

test('under faults, each answered hit is counted exactly once and each failed one at most once', (t) =>
  countUnderFaults(t, 1500, { cuts: 4, workerKills: 1, redisKills: 1, reloads: 1 }))

test('under faults, each answered page of a visitor is counted exactly once and each failed one at most once', (t) =>
  countUnderFaults(t, 1500, { cuts: 4, workerKills: 1, redisKills: 1, reloads: 1 }, 'page'))
