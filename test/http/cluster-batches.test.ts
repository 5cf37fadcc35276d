import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pino } from 'pino'
import { MultiKeyBatcher } from '../../src/state/redis/multi-key-batcher.ts'
import { RedisConnection } from '../../src/state/redis/redis-connection.ts'
import { cleanup } from '../helpers/cleanup.ts'
import { startSmallCluster } from '../helpers/redis-cluster.ts'
import { until } from '../helpers/until.ts'

test('with a Redis Cluster, queries for keys of many hash slots are sent one by one, and each gets its own reply', async (t) => {
  const log = pino({ level: 'silent' })
  const connection = new RedisConnection(await startSmallCluster(t), 10_000, log)
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
