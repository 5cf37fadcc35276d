import assert from 'node:assert/strict'
import { test } from 'node:test'
import { once } from '../helpers/http.ts'
import { RedisServer } from '../helpers/redis-server.ts'
import { type Service, startService } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'
import '../helpers/uncounted.ts'
import '../helpers/takes-long.ts'

const ONE = 'correct-horse-battery-staple-2026'
const OTHER = 'tr0ub4dor-and-three-of-its-friends'
const SECRET_KEY = 'muster:session-secret'

/** Whether a session that begins on one host goes on at the other, each way. */
async function agree(hosts: [Service, Service]): Promise<boolean> {
  for (const [first, second] of [hosts, hosts.toReversed()] as [Service, Service][]) {
    const { status, headers } = await once(first.port, 'GET', '/')
    const cookie = headers['set-cookie']?.split(';')[0]
    if (status !== 200 || !cookie) return false
    const session = await once(second.port, 'GET', '/', { cookie })
    if (session.status !== 200 || JSON.parse(session.body).visits !== 2) return false
  }
  return true
}

const start = (t: Parameters<typeof startService>[0], server: RedisServer, env: Record<string, string> = {}) =>
  startService(t, { workers: 1, env: { REDIS_URL: server.socketUrl, ...env } })

test('without SESSION_SECRET, a new host and an old one sign sessions alike after Redis was emptied', async (t) => {
  const server = await RedisServer.start(t)
  const first = await start(t, server)
  await server.client.set('muster:unrelated', '1')
  await server.client.flushall()
  // A host that makes a secret of its own before the first one is back with its own.
  await server.client.set(SECRET_KEY, 'a'.repeat(64))
  const second = await start(t, server)
  await until(() => agree([first, second]), 'agreement')
  assert.equal(await server.client.get(SECRET_KEY), 'a'.repeat(64))
})

test('workers restore a secret that Redis has lost', async (t) => {
  const server = await RedisServer.start(t)
  const first = await start(t, server)
  const secret = await server.client.get(SECRET_KEY)
  assert.match(secret!, /^[0-9a-f]{64}$/)
  await server.end('SIGKILL')
  await server.run()
  await until(async () => (await server.client.get(SECRET_KEY).catch(() => null)) === secret, 'the secret')
  await server.client.flushall()
  await until(async () => (await server.client.get(SECRET_KEY)) === secret, 'the secret again')
  const second = await start(t, server)
  assert.ok(await agree([first, second]))
})

test('hosts with different SESSION_SECRETs log a warning with the remedy', async (t) => {
  const server = await RedisServer.start(t)
  const [one, both] = await Promise.all([
    start(t, server, { SESSION_SECRET: ONE }),
    start(t, server, { SESSION_SECRET: `${ONE},${OTHER}` })
  ])
  const isWarning = ({ msg }: { msg: string }) => msg.includes('give all hosts the same SESSION_SECRET')
  const other = await start(t, server, { SESSION_SECRET: OTHER })
  const [ofOne, ofOther] = await Promise.all([one.line(isWarning), other.line(isWarning)])
  assert.equal(ofOne.level, 40)
  assert.deepEqual([ofOne.own, ofOne.other], [ofOther.other, ofOther.own])
  assert.match(`${ofOne.own}`, /^[0-9a-f]{12}$/)
  assert.ok(!both.lines.some(isWarning), 'it verifies both')
  assert.equal(one.lines.filter(isWarning).length, 1)
})
