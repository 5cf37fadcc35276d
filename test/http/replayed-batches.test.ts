import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { pino } from 'pino'
import { RedisConnection } from '../../src/state/redis/redis-connection.ts'
import { ReplayedBatches } from '../../src/state/shared/replayed-batches.ts'
import { cleanup } from '../helpers/cleanup.ts'
import { RedisServer } from '../helpers/redis-server.ts'
import { until } from '../helpers/until.ts'

const SETTINGS = { 'repl-diskless-sync': 'yes', 'repl-diskless-sync-delay': 0, 'repl-ping-replica-period': 1 }
const KEY = 'muster:hits'
const SECOND_MS = 1000
const MINUTE_MS = 60_000

/** Batches that one replica confirms, with a clock that the test alone moves: a worker looks at Redis after half a second without a reply. */
async function connect(t: TestContext) {
  const primary = await RedisServer.start(t, SETTINGS)
  const replica = await RedisServer.start(t, { ...SETTINGS, replicaof: `127.0.0.1 ${primary.port}` })
  const isUp = async () => (await replica.client.info('replication')).includes('master_link_status:up')
  await until(isUp, 'a replica')
  const connection = new RedisConnection(primary.url, 20_000, pino({ level: 'silent' }), { replicas: 1 })
  cleanup(t, () => connection.stop())
  await connection.start(async () => {})
  const clock = { ms: 1 }
  const batches = new ReplayedBatches(connection, connection.confirmations!, KEY, 'worker', () => clock.ms)
  return { batches, clock, client: primary.client, replays: connection.confirmations!.replays }
}

/** Repeats a batch until it is counted, as a counter does. */
async function counted(
  { batches }: Pick<Awaited<ReturnType<typeof connect>>, 'batches'>,
  sequence: number,
  by: number
) {
  let last = 0
  await until(async () => {
    last = await batches.add(sequence, by).catch(() => 0)
    return last > 0
  }, 'a counted batch')
  return last
}

/** Number of scripts that Redis has run. */
async function scripts({ client }: Pick<RedisServer, 'client'>): Promise<number> {
  const stats = await client.info('commandstats')
  return Number(/^cmdstat_evalsha:calls=(\d+)/m.exec(stats)?.[1] ?? 0)
}

test('an idle worker brings its last batch to a Redis that lacks it', async (t) => {
  const world = await connect(t)
  assert.equal(await counted(world, 1, 5), 5)
  await world.client.flushall()
  world.clock.ms += SECOND_MS
  await until(async () => (await world.client.get(KEY)) === '5', 'the batch')
  // Replies come in order, so that of the look is there.
  assert.equal(await world.batches.read(), 5)
  assert.deepEqual(world.replays, { present: 0, restored: 1 })
})

test('a worker whose last batch Redis cannot take keeps it, however long ago it was confirmed, and tries again', async (t) => {
  const world = await connect(t)
  assert.equal(await counted(world, 1, 5), 5)
  // A key of another type lets the script fail.
  await world.client.multi().flushall().set(`{${KEY}}:batches`, 'no hash').exec()
  const before = await scripts(world)
  world.clock.ms += 2 * MINUTE_MS
  await until(async () => (await scripts(world)) >= before + 2, 'two attempts')
  assert.equal(await world.client.get(KEY), null)
  await world.client.del(`{${KEY}}:batches`)
  await until(async () => (await world.client.get(KEY)) === '5', 'the batch')
})

test('a batch that was confirmed more than a minute ago is forgotten, and the next one is not', async (t) => {
  const world = await connect(t)
  assert.equal(await counted(world, 1, 5), 5)
  const before = await scripts(world)
  world.clock.ms += 2 * MINUTE_MS
  await until(async () => (await scripts(world)) > before, 'the last look')
  assert.equal(await world.batches.read(), 5)
  await world.client.flushall()
  assert.equal(await counted(world, 2, 3), 3)
  assert.deepEqual(world.replays, { present: 0, restored: 0 })
  await world.client.flushall()
  world.clock.ms += SECOND_MS
  await until(async () => (await world.client.get(KEY)) === '3', 'the batch')
})

test('a new primary that has the last batch gives no new numbers at first, and then goes on', async (t) => {
  const world = await connect(t)
  assert.equal(await counted(world, 1, 5), 5)
  // A replication id of its own, as after a promotion.
  await world.client.replicaof('127.0.0.1', '1')
  await world.client.replicaof('NO', 'ONE')
  const failures = new Set<string>()
  const keep = (error: Error) => {
    failures.add(error.message)
    return 0
  }
  await until(async () => (await world.batches.add(2, 1).catch(keep)) === 6, 'the next number')
  assert.ok(failures.has('a new Redis primary waits for the last batches of all workers'), [...failures].join())
  assert.deepEqual(world.replays, { present: 1, restored: 0 })
  assert.equal(await world.batches.read(), 6)
})
