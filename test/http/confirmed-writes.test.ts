import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { pino } from 'pino'
import { RedisConnection } from '../../src/state/redis/redis-connection.ts'
import { Counters } from '../../src/state/shared/counters.ts'
import { cleanup } from '../helpers/cleanup.ts'
import { RedisServer } from '../helpers/redis-server.ts'
import { until } from '../helpers/until.ts'

const SETTINGS = { 'repl-diskless-sync': 'yes', 'repl-diskless-sync-delay': 0 }
const times = <T>(count: number, call: () => T): T[] => Array.from({ length: count }, call)

async function startReplica(t: TestContext, primary: RedisServer): Promise<RedisServer> {
  const replica = await RedisServer.start(t, { ...SETTINGS, replicaof: `127.0.0.1 ${primary.port}` })
  await isUp(replica)
  return replica
}

const isUp = ({ client }: RedisServer) =>
  until(async () => (await client.info('replication')).includes('master_link_status:up'), 'a replica')

/** A connection whose writes one replica confirms, and the lines that it logs. */
async function connect(t: TestContext, { url }: RedisServer, timeoutMs = 5000) {
  const lines: string[] = []
  const log = pino({}, { write: (line) => void lines.push((JSON.parse(line) as { msg: string }).msg) })
  const connection = new RedisConnection(url, timeoutMs, log, { replicas: 1 })
  cleanup(t, () => connection.stop())
  await connection.start(async () => {})
  const counters = new Counters(connection)
  return { connection, counter: counters.get('hits'), lines }
}

async function calls({ client }: RedisServer, command: string): Promise<number> {
  const stats = await client.info('commandstats')
  return Number(new RegExp(`^cmdstat_${command}:calls=(\\d+)`, 'm').exec(stats)?.[1] ?? 0)
}

test('writes that are answered are at the replica, and writes of one moment share one confirmation', async (t) => {
  const primary = await RedisServer.start(t, SETTINGS)
  const replica = await startReplica(t, primary)
  const { connection } = await connect(t, primary)
  await until(() => connection.confirmations!.groups.confirmed > 0, 'the check at the start')
  const before = await calls(primary, 'wait')
  await Promise.all(
    Array.from({ length: 50 }, async (_, i) => {
      await connection.writes.set(`muster:x${i}`, i)
      assert.equal(await replica.client.get(`muster:x${i}`), String(i))
    })
  )
  assert.equal((await calls(primary, 'wait')) - before, 1)
})

test('a stopped replica: writes get 503 with a clear code, reads are answered, and writes again when it is back', async (t) => {
  const primary = await RedisServer.start(t, SETTINGS)
  const replica = await startReplica(t, primary)
  const { connection, counter, lines } = await connect(t, primary, 3000)
  assert.equal(await counter.increment(), 1)
  replica.signal('SIGSTOP')
  const refused = { statusCode: 503, code: 'TOO_FEW_REPLICAS', retryAfter: 1 }
  await Promise.all(times(3, () => assert.rejects(counter.increment(), refused)))
  await assert.rejects(counter.read(), refused)
  assert.equal(await connection.client.exists('muster:hits'), 1)
  assert.equal(connection.up, true)
  replica.signal('SIGCONT')
  await until(async () => (await counter.increment().catch(() => 0)) > 0, 'a number')
  const last = await counter.read()
  assert.equal(await replica.client.get('muster:hits'), String(last))
  assert.equal(await counter.increment(), last + 1)
  const ours = lines.filter((line) => line.includes('replicas'))
  assert.deepEqual(ours, ['too few Redis replicas confirm writes', 'Redis replicas confirm writes again'])
})

test('a Redis without replicas is reported at the start', async (t) => {
  const { lines } = await connect(t, await RedisServer.start(t, SETTINGS), 2000)
  await until(() => lines.includes('too few Redis replicas confirm writes'), 'a line')
})

test('a promoted replica that lacks confirmed hits gets them back before it gives new numbers', async (t) => {
  const primary = await RedisServer.start(t, SETTINGS)
  const [behind, confirming] = [await startReplica(t, primary), await startReplica(t, primary)]
  const [one, other] = [await connect(t, primary), await connect(t, primary)]
  const five = async ({ counter }: typeof one) => {
    const numbers: number[] = []
    for (let i = 0; i < 5; i++) numbers.push(await counter.increment())
    return numbers
  }
  const numbers = [...(await five(one)), ...(await five(other))]
  await until(async () => (await behind.client.get('muster:hits')) === '10', 'ten hits at the replica')
  await behind.client.replicaof('NO', 'ONE')
  numbers.push(...(await five(one)), ...(await five(other)))
  assert.equal(await behind.client.get('muster:hits'), '10')

  await primary.end('SIGKILL')
  await behind.client.config('SET', 'port', primary.port)
  await confirming.client.replicaof('127.0.0.1', primary.port)
  await isUp(confirming)
  // The worker whose last number is the lower one asks first, and the other one is idle.
  const next = async ({ counter }: typeof one) => {
    let number = 0
    await until(async () => {
      number = await counter.increment().catch(() => 0)
      return number > 0
    }, 'a number')
    return number
  }
  const after = [await next(one), await next(other)]
  assert.deepEqual(
    numbers,
    times(20, () => 0).map((_, i) => i + 1)
  )
  assert.ok(after[0]! > 20 && after[1]! > after[0]!, `${after}`)
  for (const { connection } of [one, other]) assert.equal(connection.confirmations!.replays.restored, 1)
  assert.equal(await behind.client.get('muster:hits'), String(after[1]))
})

test('a repeated batch is confirmed anew: its number is at the replica that is there now', async (t) => {
  const primary = await RedisServer.start(t, SETTINGS)
  const replica = await startReplica(t, primary)
  const { counter } = await connect(t, primary, 2000)
  assert.equal(await counter.increment(), 1)
  replica.signal('SIGSTOP')
  const waiting = counter.increment()
  await until(async () => (await primary.client.get('muster:hits')) === '2', 'the batch at the primary')
  // The connection that counted the batch is lost, so a new one repeats it.
  await primary.client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
  replica.signal('SIGCONT')
  assert.equal(await waiting, 2)
  assert.equal(await replica.client.get('muster:hits'), '2')
  assert.equal(await counter.increment(), 3)
})
