import assert from 'node:assert/strict'
import { once as nodeOnce } from 'node:events'
import { readdirSync } from 'node:fs'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import type { DrainStats } from '../../src/ipc/messages.ts'
import { EventClient, isComplete } from '../helpers/event-client.ts'
import { once } from '../helpers/http.ts'
import { fixture } from '../helpers/load.ts'
import { startRedis } from '../helpers/redis.ts'
import { Deploys } from '../helpers/releases.ts'
import { type StartOptions, startService } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'
import '../helpers/takes-long.ts'

type Context = Parameters<typeof startService>[0]

const descriptors = (pid: number) => readdirSync(`/proc/${pid}/fd`).length

const start = (t: Context, { env, ...options }: StartOptions = {}) =>
  startService(t, {
    env: { REDIS: 'off', APP: fixture('live'), CANARY_TIME: '100', LOG_LEVEL: 'info', ...env },
    ...options
  })

test('event streams survive reloads on the same connection, with every event once and in order', async (t) => {
  const service = await start(t)
  const paths = ['/count', '/pieces']
  const clients = await Promise.all(
    Array.from({ length: 20 }, (_, i) => EventClient.open(service.port, paths[i % paths.length]!))
  )
  t.after(() => clients.map((client) => client.close()))
  for (let i = 0; i < 3; i++) {
    assert.equal((await service.reload()).msg, 'rollout done')
    await Promise.all(clients.map((client) => client.more(20)))
  }
  for (const { ids, pids, end, events } of clients) {
    assert.equal(end, undefined, JSON.stringify(events.at(-1)))
    assert.ok(isComplete(ids), JSON.stringify(ids))
    // Each reload replaces each worker once, and a stream moves to the successor in its slot.
    assert.equal(pids.size, 4)
  }
})

test('a stream that is silent moves too, and has one line in the access log, with the id that the client knows', async (t) => {
  const service = await start(t, { workers: 1 })
  const client = await EventClient.open(service.port, '/still')
  await client.has(1)
  await service.reload()
  await client.has(2)
  client.close()
  const line = await service.line(({ msg, url }) => msg === 'request' && url === '/still')
  await service.stop()
  assert.ok(isComplete(client.ids) && client.pids.size === 2)
  assert.equal(line.reqId, client.response.headers['x-request-id'])
  assert.equal(line.resumed, true)
  assert.equal(service.lines.filter(({ msg, url }) => msg === 'request' && url === '/still').length, 1)
})

test('the old handler gets close as if the client had left, and what it writes then goes nowhere', async (t) => {
  const service = await start(t, { workers: 1 })
  const client = await EventClient.open(service.port, '/told')
  t.after(() => client.close())
  await client.has(1)
  await service.reload()
  await client.has(2)
  assert.deepEqual(client.ids, [1, 2])
  const told = () => service.lines.filter(({ msg }) => msg === 'told')
  await service.until(() => told().length === 2, 'both events')
  assert.deepEqual(new Set(told().map((line) => line.told)), new Set(['request', 'response']))
  assert.ok(told().every(({ moved }) => moved === true))
})

test('a stream that cannot move ends in order: compressed, or of HTTP/1.0', async (t) => {
  const service = await start(t, { workers: 1, env: { DRAIN_TIMEOUT: '5000' } })
  const compressed = await EventClient.open(service.port, '/compressed')
  const socket = connect(service.port, '127.0.0.1')
  socket.write('GET /still HTTP/1.0\r\nhost: test\r\n\r\n')
  const answer = text(socket)
  await nodeOnce(socket, 'data')
  const outcome = await service.reload()
  assert.equal((outcome.connections as DrainStats).cut, 0)
  assert.equal(await compressed.ended(), 'complete')
  assert.match(await answer, /\nevent: bye\n/)
})

test('when the service stops, streams end with the event bye', async (t) => {
  const service = await start(t, { workers: 1 })
  const client = await EventClient.open(service.port, '/count')
  await client.more(3)
  assert.deepEqual(await service.stop(), { code: 0, signal: null })
  assert.equal(await client.ended(), 'complete')
  assert.equal(client.events.at(-1)?.event, 'bye')
})

test('a release that answers differently, or without the route, ends the stream in order', async (t) => {
  const deploys = new Deploys(t)
  const route = `app.get('/gone', { config: { resumable: true, session: false } }, (request, reply) => {
    reply.hijack()
    reply.raw.writeHead(200, { 'content-type': 'text/event-stream' }).write('id: 1\\ndata: 1\\n\\n')
  })`
  deploys.deploy('one', route)
  const service = await start(t, { workers: 1, env: { APP: deploys.app } })
  const gone = await EventClient.open(service.port, '/gone')
  await gone.has(1)
  deploys.deploy('two')
  await service.reload()
  assert.equal(await gone.ended(), 'complete')
  assert.deepEqual(gone.ids, [1])
  const other = await start(t, { workers: 1 })
  const changed = await EventClient.open(other.port, '/changed')
  await changed.has(1)
  await other.reload()
  assert.equal(await changed.ended(), 'complete')
  assert.deepEqual(changed.ids, [1])
})

test('a stream that moves is no new request for rate limits', async (t) => {
  const { url } = await startRedis(t)
  const service = await startService(t, {
    workers: 1,
    env: { REDIS_URL: url, APP: fixture('live'), RATE_LIMIT: '2', RATE_WINDOW: '3600000', RATE_EXEMPT: '' }
  })
  const client = await EventClient.open(service.port, '/limited')
  t.after(() => client.close())
  await client.has(1)
  for (let i = 0; i < 3; i++) {
    await service.reload()
    await client.has(i + 2)
  }
  assert.deepEqual(client.ids, [1, 2, 3, 4])
  assert.equal((await once(service.port, 'GET', '/limited')).status, 429)
})

test('a client that reads nothing delays no other stream, and is cut at the deadline', async (t) => {
  const service = await start(t, { workers: 1, env: { DRAIN_TIMEOUT: '3000' } })
  const stuck = await EventClient.open(service.port, '/flood')
  stuck.response.pause()
  const client = await EventClient.open(service.port, '/count')
  t.after(() => client.close())
  await client.more(10)
  await service.reload()
  await client.more(10)
  assert.ok(isComplete(client.ids) && client.pids.size === 2)
  const { connections } = await service.line(({ msg }) => msg === 'drained')
  assert.equal((connections as DrainStats).cut, 1)
  stuck.close()
})

test('a worker that is killed while streams move takes only its own along, and leaks no descriptor', async (t) => {
  const env = { DRAIN_TIMEOUT: '5000' }
  for (const victim of ['old', 'new'] as const) {
    const service = await start(t, { env })
    const before = descriptors(service.pid)
    const clients = await Promise.all(Array.from({ length: 300 }, () => EventClient.open(service.port, '/still')))
    await Promise.all(clients.map((client) => client.has(1)))
    const [oldest] = [...service.workers()].find(([, { slot }]) => slot === 0)!
    const from = service.lines.length
    service.child.kill('SIGHUP')
    const { worker: fresh } = await service.line((line) => line.msg === 'worker ready' && line.generation === 2, from)
    // The first stream that the new worker continues: others are on their way.
    await until(() => clients.some(({ pids }) => pids.has(String(fresh))), 'a stream in the new worker')
    try {
      process.kill(victim === 'old' ? oldest : fresh!, 'SIGKILL')
    } catch {
      // The old worker was quicker: then all of its connections have moved.
    }
    await service.line(({ msg }) => msg.startsWith('rollout ') && msg !== 'rollout started', from)
    await service.until(() => service.workers().size === 2, 'two workers')
    const open = clients.filter(({ end }) => end === undefined)
    t.diagnostic(`${victim}: ${open.length} of 300 streams go on`)
    assert.ok(open.length > 0)
    for (const { ids } of clients) assert.ok(isComplete(ids), JSON.stringify(ids))
    for (const client of clients) client.close()
    await until(() => descriptors(service.pid) <= before + 4, 'the descriptors of the primary')
    assert.deepEqual(await service.stop(), { code: 0, signal: null })
  }
})
