import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import { WebSocket } from 'ws'
import { Connection, head } from '../helpers/http.ts'
import { fixture } from '../helpers/load.ts'
import { startRedis } from '../helpers/redis.ts'
import { type Line, type Service, startService } from '../helpers/service.ts'
import '../helpers/takes-long.ts'

const SOCKETS = 100
const SECOND_MS = 1000

async function start(t: TestContext, env: Record<string, string> = {}, workers = 1): Promise<Service> {
  const { url } = await startRedis(t)
  return startService(t, { workers, env: { REDIS_URL: url, APP: fixture('sockets'), ...env } })
}

/** Opens a socket that has received a message. @returns resolves with the code of its end */
async function openSocket(t: TestContext, { port }: Service): Promise<{ socket: WebSocket; code: Promise<number> }> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/sockets`)
  t.after(() => socket.terminate())
  const code = new Promise<number>((resolve) => socket.once('close', resolve))
  await once(socket, 'message')
  return { socket, code }
}

const writtenAt = (lines: Line[]) =>
  lines.filter(({ msg }) => msg === 'close frame written').map(({ at }) => Number(at))

/** @returns the largest number of times within any second */
const mostInASecond = (times: number[]) =>
  Math.max(...times.map((start) => times.filter((time) => time >= start && time < start + SECOND_MS).length))

test('a reload closes 100 WebSockets with 1012, at most a tenth of them in any second', async (t) => {
  const service = await start(t)
  const sockets = await Promise.all(Array.from({ length: SOCKETS }, () => openSocket(t, service)))
  const from = service.lines.length
  assert.equal((await service.reload()).msg, 'rollout done')
  assert.ok(writtenAt(service.lines).length < SOCKETS, 'the reload ends before the last socket')
  const codes = await Promise.all(sockets.map(({ code }) => code))
  assert.deepEqual([...new Set(codes)], [1012])
  const { connections } = await service.line(({ msg }) => msg === 'drained', from)
  const times = writtenAt(service.lines.slice(from))
  assert.equal(times.length, SOCKETS)
  assert.ok(mostInASecond(times) <= SOCKETS / 10, `${mostInASecond(times)} in one second`)
  assert.equal(service.lines.filter(({ msg, code }) => msg === 'socket closed' && code === 1012).length, SOCKETS)
  const { closed, cut } = connections as { closed: number; cut: number }
  assert.deepEqual({ closed, cut }, { closed: SOCKETS, cut: 0 })
})

test('SIGTERM closes WebSockets with 1012 within half of DRAIN_TIMEOUT', async (t) => {
  const service = await start(t, { DRAIN_TIMEOUT: '8000' })
  const sockets = await Promise.all(Array.from({ length: 20 }, () => openSocket(t, service)))
  assert.deepEqual(await service.stop(), { code: 0, signal: null })
  const codes = await Promise.all(sockets.map(({ code }) => code))
  assert.deepEqual([...new Set(codes)], [1012])
  const times = writtenAt(service.lines)
  assert.equal(times.length, 20)
  const spread = Math.max(...times) - Math.min(...times)
  assert.ok(spread > 2000, `all in ${Math.round(spread)} ms`)
  assert.ok(!service.lines.some(({ msg }) => msg === 'connections cut'))
})

test('a worker that must end at once still closes its WebSockets with 1012', async (t) => {
  const service = await start(t, { LINGER_MAX_WORKERS: '1', DRAIN_TIMEOUT: '1000' })
  const sockets = await Promise.all(Array.from({ length: 30 }, () => openSocket(t, service)))
  await service.reload()
  const later = await openSocket(t, service)
  await service.reload()
  const codes = await Promise.all([...sockets, later].map(({ code }) => code))
  assert.deepEqual([...new Set(codes)], [1012])
})

test('a socket that does not answer the close frame is cut after DRAIN_TIMEOUT', async (t) => {
  const service = await start(t, { DRAIN_TIMEOUT: '1500' })
  const silent = await Connection.open(service.port)
  t.after(() => silent.close())
  const upgrade = {
    connection: 'upgrade',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ=='
  }
  silent.socket.write(head('GET', '/sockets', { ...upgrade, upgrade: 'websocket' }))
  await once(silent.socket, 'data')
  await service.reload()
  const { cuts } = await service.line(({ msg }) => msg === 'connections cut')
  assert.deepEqual(cuts, [{ kind: 'socket', reason: 'no-answer', count: 1 }])
})

test('a connection that changed to another protocol is not closed like a WebSocket', async (t) => {
  const service = await start(t, { DRAIN_TIMEOUT: '1500' })
  const raw = await Connection.open(service.port)
  t.after(() => raw.close())
  raw.socket.write(head('GET', '/sockets/raw', { connection: 'upgrade', upgrade: 'raw' }))
  const [answer] = await once(raw.socket, 'data')
  assert.match(answer, /^HTTP\/1\.1 101 /)
  await service.reload()
  for (let i = 0; i < 10; i++) {
    raw.socket.write(`ping ${i}`)
    const [echo] = await once(raw.socket, 'data')
    assert.equal(echo, `ping ${i}`)
  }
  const { cuts } = await service.line(({ msg }) => msg === 'connections cut')
  assert.deepEqual(cuts, [{ kind: 'socket', reason: 'stalled', count: 1 }])
})
