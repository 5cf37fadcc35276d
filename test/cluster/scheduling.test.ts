import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { type TestContext, test } from 'node:test'
import type { DrainStats } from '../../src/ipc/messages.ts'
import { type Answer, Connection, freePort, once } from '../helpers/http.ts'
import { fixture, Load } from '../helpers/load.ts'
import { startRedis } from '../helpers/redis.ts'
import { type Service, startService } from '../helpers/service.ts'
import '../helpers/takes-long.ts'
import '../helpers/uncounted.ts'

const MIX = { tight: 2, fresh: 4, slow: 2, pipelined: 2, idle: 20, streams: 1 }
const MIGRATION = '/proc/sys/net/ipv4/tcp_migrate_req'
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
const hasReusePort = major > 22 || (major === 22 && minor >= 12)

/** Reloads twice under load, and expects that no request fails and that no connection is closed or cut. */
async function reloadsWithoutLoss(t: TestContext, service: Service): Promise<void> {
  const load = new Load(t, service.port, MIX, { addresses: 40 })
  for (let i = 0; i < 2; i++) {
    await load.until(load.answered + 300)
    const outcome = await service.reload()
    assert.equal(outcome.msg, 'rollout done')
    assert.equal((outcome.connections as DrainStats).cut, 0)
    assert.ok((outcome.connections as DrainStats).handedOver > 0)
  }
  await load.stop()
  assert.deepEqual([...load.failures], [])
  assert.equal(load.reopened, 0, 'a connection was closed that could have stayed open')
  assert.deepEqual(await service.stop(), { code: 0, signal: null })
  t.diagnostic(`${load.answered} answers`)
}

for (const SCHEDULING of ['shared', 'sticky']) {
  test(`${SCHEDULING}: a reload loses no request`, async (t) => {
    const { url } = await startRedis(t)
    await reloadsWithoutLoss(t, await startService(t, { env: { REDIS_URL: url, APP: fixture('slow'), SCHEDULING } }))
  })
}

/** Whether the kernel may move connections between listeners for the time of this test. */
function letKernelMigrate(t: TestContext): boolean {
  try {
    const before = readFileSync(MIGRATION, 'utf8')
    t.after(() => writeFileSync(MIGRATION, before))
    writeFileSync(MIGRATION, '1')
  } catch {
    // Not root, or not a kernel that has it.
  }
  try {
    return readFileSync(MIGRATION, 'utf8').trim() === '1'
  } catch {
    return false
  }
}

/** A worker that accepts nothing is killed: what waits in its queue is served by the others. */
async function diesWithoutLoss(service: Service): Promise<void> {
  const [stopped] = [...service.workers().keys()]
  process.kill(stopped!, 'SIGSTOP')
  const connections = await Promise.all(Array.from({ length: 60 }, () => Connection.open(service.port)))
  const answers = connections.map((connection) => connection.request('GET', '/echo?id=1'))
  process.kill(stopped!, 'SIGKILL')
  for (const { status } of await Promise.all(answers)) assert.equal(status, 200)
  for (const connection of connections) connection.close()
}

test('reuseport loses nothing where the kernel migrates connections, and does not start elsewhere', async (t) => {
  const { url } = await startRedis(t)
  const env = { REDIS_URL: url, APP: fixture('slow'), SCHEDULING: 'reuseport', PORT: String(await freePort()) }
  if (letKernelMigrate(t) && hasReusePort) {
    await reloadsWithoutLoss(t, await startService(t, { env }))
    await diesWithoutLoss(await startService(t, { env }))
    return
  }
  const service = await startService(t, { env, wait: false })
  assert.deepEqual(await service.exited, { code: 78, signal: null })
  assert.match(
    service.stderr,
    hasReusePort ? /sysctl net\.ipv4\.tcp_migrate_req=1.*REUSEPORT_LOSS=allow/ : /Node 22\.12/
  )
})

test('REUSEPORT_LOSS=allow starts without migration, and an occupied port is named', async (t) => {
  const { url } = await startRedis(t)
  const other = createServer()
  t.after(() => other.close())
  const port = await new Promise<number>((resolve) => {
    other.listen(0, '127.0.0.1', () => resolve((other.address() as { port: number }).port))
  })
  const env = { REDIS_URL: url, APP: fixture('who'), SCHEDULING: 'reuseport', REUSEPORT_LOSS: 'allow' }
  const refused = await startService(t, { env: { ...env, PORT: String(port) }, wait: false })
  assert.deepEqual(await refused.exited, { code: 78, signal: null })
  assert.match(refused.stderr, hasReusePort ? new RegExp(`port ${port} of 127.0.0.1 is taken`) : /Node 22\.12/)
  if (!hasReusePort) return
  const service = await startService(t, { env: { ...env, PORT: String(await freePort()) } })
  const slots = await Promise.all(Array.from({ length: 64 }, () => slotFor(service)))
  assert.deepEqual(new Set(slots), new Set([0, 1]))
  assert.equal((await service.reload()).msg, 'rollout done')
  assert.deepEqual(await service.stop(), { code: 0, signal: null })
})

test('shared: the port refuses no connection while its only worker is dead', async (t) => {
  const { url } = await startRedis(t)
  const env = { REDIS_URL: url, APP: fixture('slow'), SCHEDULING: 'shared' }
  const service = await startService(t, { env, workers: 1 })
  const load = new Load(t, service.port, { fresh: 4 })
  for (let i = 0; i < 3; i++) {
    await load.until(load.answered + 50)
    const from = service.lines.length
    const [pid] = [...service.workers().keys()]
    process.kill(pid!, 'SIGKILL')
    await service.line((line) => line.msg === 'worker exited' && line.worker === pid, from)
    // There is no worker now: the kernel takes the connection, and the next worker answers.
    assert.equal((await once(service.port, 'GET', '/echo?id=1')).status, 200)
    await service.line((line) => line.msg === 'worker ready', from)
  }
  await load.stop()
  const kinds = [...load.failures.keys()].filter((kind) => !/ECONNRESET|closed|the server ended/.test(kind))
  assert.deepEqual(kinds, [], 'only requests inside the killed worker fail')
  assert.ok([...load.failures.values()].reduce((sum, count) => sum + count, 0) <= 3 * 4)
})

for (const SCHEDULING of ['shared', 'sticky']) {
  test(`${SCHEDULING}: SIGTERM closes the port while a request in flight is answered`, async (t) => {
    const { url } = await startRedis(t)
    const service = await startService(t, { env: { REDIS_URL: url, APP: fixture('slow'), SCHEDULING } })
    const slow = await untilInFlight(service, 3000)
    let answered = false
    void slow().then(() => {
      answered = true
    })
    service.child.kill('SIGTERM')
    for (;;) {
      const refused = await once(service.port, 'GET', '/echo?id=1').then(
        () => false,
        (error: Error) => error.message.includes('ECONNREFUSED')
      )
      if (refused) break
    }
    assert.equal(answered, false)
    assert.equal((await slow()).status, 200)
    assert.deepEqual(await service.exited, { code: 0, signal: null })
  })
}

test('shared: when the primary dies, requests in flight are answered and the port is freed', async (t) => {
  const { url } = await startRedis(t)
  const env = { REDIS_URL: url, APP: fixture('slow'), SCHEDULING: 'shared' }
  const service = await startService(t, { env })
  const slow = await untilInFlight(service, 1000)
  process.kill(service.pid, 'SIGKILL')
  assert.equal((await slow()).status, 200)
  await service.exited
  await assert.rejects(once(service.port, 'GET', '/echo?id=1'), /ECONNREFUSED/)
})

/** A worker has a request that takes so long; the answer to it. */
async function untilInFlight(service: Service, ms: number): Promise<() => Promise<Answer>> {
  const probe = await Connection.open(service.port)
  const slow = once(service.port, 'GET', `/slow?ms=${ms}&id=1`)
  while (!(await probe.request('GET', '/in-flight')).body.includes('1'));
  probe.close()
  return () => slow
}

async function slotFor(service: Service): Promise<number> {
  const { body } = await once(service.port, 'GET', '/who/1')
  return (JSON.parse(body) as { slot: number }).slot
}
