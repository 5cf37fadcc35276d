import assert from 'node:assert/strict'
import { test } from 'node:test'
import { countUnderFaults, cut, Hits, startBehindProxy } from '../helpers/hits.ts'
import { once } from '../helpers/http.ts'
import { startRedis } from '../helpers/redis.ts'
import { startService } from '../helpers/service.ts'
import '../helpers/uncounted.ts'

const CUTS = 40

test('200 concurrent hits on 4 workers get 200 different numbers, and the counter is 200', async (t) => {
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

test('cuts alone, the replies dropped, give no error: every hit is counted exactly once', async (t) => {
  const { url, client } = await startRedis(t)
  const { service, proxy } = await startBehindProxy(t, url)
  const hits = new Hits(service.port)
  for (let cuts = 1; cuts <= CUTS; cuts++) {
    await hits.more(200)
    await cut(proxy)
  }
  await hits.stop()
  const total = hits.numbers.length
  assert.deepEqual(Object.fromEntries(hits.errors), {})
  assert.deepEqual(
    hits.numbers.sort((a, b) => a - b),
    Array.from({ length: total }, (_, i) => i + 1)
  )
  assert.equal(await client.get('muster:hits'), String(total))
})

test('every hit that was answered 200 is counted exactly once, one answered with an error at most once', async (t) => {
  await countUnderFaults(t, 4000, { cuts: 8, workerKills: 2, redisKills: 2, reloads: 1 })
})
