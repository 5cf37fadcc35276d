import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { DrainStats } from '../../src/ipc/messages.ts'
import { Connection, head, once } from '../helpers/http.ts'
import { fixture } from '../helpers/load.ts'
import { startRedis } from '../helpers/redis.ts'
import { startService } from '../helpers/service.ts'
import '../helpers/takes-long.ts'

async function start(t: TestContext, app: string, env: Record<string, string> = {}) {
  const { url } = await startRedis(t)
  return startService(t, { env: { REDIS_URL: url, APP: fixture(app), CANARY_TIME: '0', ...env }, workers: 1 })
}

/** Long enough that one read of the worker, 64 KiB, takes in some 160 requests. */
const PADDING = { padding: 'x'.repeat(340) }
const requests = (count: number, path: string, from = 0, headers: Record<string, string> = PADDING) =>
  Array.from({ length: count }, (_, id) => head('GET', `${path}id=${from + id}`, headers)).join('')
const expectIds = async (answers: ReturnType<Connection['expect']>[], from = 0) => {
  for (const [id, { body }] of (await Promise.all(answers)).entries()) assert.equal(body, `{"id":"${from + id}"}`)
}

test('a worker starts at most 100 pipelined requests of a connection at once and answers all of them', async (t) => {
  const service = await start(t, 'hold', { HEADERS_TIMEOUT: '5000', REQUEST_TIMEOUT: '5000' })
  const count = 2000
  const flood = await Connection.open(service.port)
  const answers = Array.from({ length: count }, () => flood.expect())
  // The worker reads 64 KiB at once: more than a thousand of the first, short requests.
  flood.socket.write(requests(count / 2, '/hold?', 0, {}) + requests(count / 2, '/hold?', count / 2))
  const other = await Connection.open(service.port)
  const begun = async () => JSON.parse((await other.request('GET', '/begun')).body).begun as number
  while ((await begun()) < 100);
  // Each of these is a turn of the event loop, which would read 64 KiB more.
  for (let turn = 0; turn < 100; turn++) await begun()
  const most = await begun()
  assert.equal(most, 100)
  // Half of a request was read before the pause. Its time does not run out while the worker reads nothing.
  const silent = await Connection.open(service.port)
  assert.equal((await silent.expect()).status, 408)
  await once(service.port, 'GET', '/begun')
  await other.request('POST', '/release')
  await expectIds(answers)
  assert.equal(await begun(), count)
  flood.close()
  other.close()
})

test('a reload transfers a paused connection, and every pipelined request is answered in order', async (t) => {
  const service = await start(t, 'slow')
  const count = 1500
  const floods = await Promise.all(Array.from({ length: 5 }, () => Connection.open(service.port)))
  const answers = floods.map((flood) => Array.from({ length: count }, () => flood.expect()))
  // The first is slow, so that the others are unanswered when the reload begins.
  for (const flood of floods)
    flood.socket.write(head('GET', '/slow?ms=1500&id=0') + requests(count - 1, '/slow?ms=20&', 1))
  const asker = await Connection.open(service.port)
  while (JSON.parse((await asker.request('GET', '/in-flight')).body).requests < 5 * 100);
  asker.close()
  const outcome = await service.reload()
  assert.equal((outcome.connections as DrainStats).cut, 0)
  for (const flood of answers) await expectIds(flood)
  assert.ok(floods.every((flood) => !flood.ended))
  for (const [id, flood] of floods.entries()) {
    assert.equal((await flood.request('GET', `/echo?id=${id}`)).body, `{"id":"${id}"}`)
    flood.close()
  }
})

test('a client that always has ten requests in flight is transferred by a reload, not cut', async (t) => {
  const service = await start(t, 'slow', { DRAIN_TIMEOUT: '20000' })
  const client = await Connection.open(service.port)
  let asked = 0
  let reloaded = false
  const lanes = Array.from({ length: 10 }, async (_, lane) => {
    while (!reloaded) {
      const id = String(asked++)
      // Of different length, so that there is always one that is not answered.
      const { body } = await client.request('GET', `/slow?ms=${20 + lane * 7}&id=${id}`)
      assert.equal(body, JSON.stringify({ id }))
    }
  })
  const outcome = await service.reload().finally(() => (reloaded = true))
  await Promise.all(lanes)
  const { cut, handedOver } = outcome.connections as DrainStats
  assert.deepEqual({ cut, handedOver }, { cut: 0, handedOver: 1 })
  assert.ok(!client.ended)
  client.close()
  t.diagnostic(`${asked} requests, reload in ${outcome.durationMs} ms`)
})
