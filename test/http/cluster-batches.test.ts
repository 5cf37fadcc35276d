import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pino } from 'pino'
import { MultiKeyBatcher } from '../../src/state/redis/multi-key-batcher.ts'
import { RedisConnection } from '../../src/state/redis/redis-connection.ts'
import { cleanup } from '../helpers/cleanup.ts'
import { freePort } from '../helpers/http.ts'
import { launchRedis } from '../helpers/redis.ts'
import { until } from '../helpers/until.ts'

const SLOTS = 16_384

test('with a Redis Cluster, queries for keys of many hash slots are sent one by one, and each gets its own reply', async (t) => {
  const port = await freePort()
  const { client } = await launchRedis(t, {
    'cluster-enabled': 'yes',
    'cluster-announce-ip': '127.0.0.1',
    bind: '127.0.0.1',
    port: `${port}`
  })
  await client.cluster('ADDSLOTS', ...Array(SLOTS).keys())
  await until(async () => /cluster_state:ok/.test(String(await client.cluster('INFO'))), 'a cluster')
  const log = pino({ level: 'silent' })
  const connection = new RedisConnection(`redis+cluster://127.0.0.1:${port}`, 10_000, log)
  cleanup(t, () => connection.stop())
  await connection.start(async () => {})
  await until(() => connection.up, 'a connection')
  const lua = "return { KEYS[1] .. '=' .. ARGV[1] }"
  const batcher = new MultiKeyBatcher<string>(connection, {
    client: connection.client,
    name: 'musterReadSessions',
    lua,
    scriptArguments: [7]
  })
  const keys = ['a', 'b', 'c']
  assert.deepEqual(await Promise.all(keys.map((key) => batcher.query([key]))), ['a=7', 'b=7', 'c=7'])
})
