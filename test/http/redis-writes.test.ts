import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { type Cluster, Command, type Redis } from 'ioredis'
import { createClient, type RedisClient } from '../../src/state/redis/redis-client.ts'
import { cleanup } from '../helpers/cleanup.ts'
import { startRedis } from '../helpers/redis.ts'
import { startSmallCluster } from '../helpers/redis-cluster.ts'

const TIMEOUT_MS = 10_000

/** Lets a client send commands in two turns of the event loop, and asserts that each turn writes to the socket of the connection once. */
async function assertGathers(client: RedisClient, connection: Redis): Promise<void> {
  const writes: number[] = []
  const { stream } = connection
  const writev = stream._writev!.bind(stream)
  stream._writev = (chunks, done) => {
    writes.push(chunks.length)
    writev(chunks, done)
  }
  const increments = () => Promise.all(Array.from({ length: 5 }, () => client.incr('n')))
  assert.deepEqual(await increments(), [1, 2, 3, 4, 5])
  assert.deepEqual(await increments(), [6, 7, 8, 9, 10])
  assert.deepEqual(writes, [5, 5])
  assert.equal(stream.writableLength, 0)
}

test('the commands of one turn of the event loop leave with one write', async (t) => {
  const { url } = await startRedis(t)
  const client = createClient(url, { timeoutMs: TIMEOUT_MS }) as Redis
  cleanup(t, () => client.disconnect())
  await client.connect()
  await assertGathers(client, client)
})

test('the commands of one turn of the event loop leave for a node of a Redis Cluster with one write', async (t) => {
  const client = createClient(await startSmallCluster(t), { timeoutMs: TIMEOUT_MS }) as Cluster
  cleanup(t, () => client.disconnect())
  await client.connect()
  // The first command connects to the node.
  assert.equal(await client.get('n'), null)
  const [node] = client.nodes('master')
  await assertGathers(client, node!)
})

test('the object of a command with a timeout is no dictionary when the command has been answered', async (t) => {
  const { url } = await startRedis(t)
  const client = createClient(url, { timeoutMs: TIMEOUT_MS }) as Redis
  cleanup(t, () => client.disconnect())
  await client.connect()
  setFlagsFromString('--allow-natives-syntax')
  const isDictionary = new Function('object', 'return !%HasFastProperties(object)')
  // Without the change to ioredis, this fails on Node 24 and newer.
  for (let i = 0; i < 3; i++) {
    const command = new Command('get', ['n'])
    assert.equal(await client.sendCommand(command), null)
    assert.equal(isDictionary(command), false)
  }
})
