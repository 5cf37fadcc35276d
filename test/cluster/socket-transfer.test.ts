import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import type { DrainStats } from '../../src/ipc/messages.ts'
import { fixture } from '../helpers/load.ts'
import { Deploys } from '../helpers/releases.ts'
import { type StartOptions, startService } from '../helpers/service.ts'
import { SocketClient } from '../helpers/socket-client.ts'
import { until } from '../helpers/until.ts'
import '../helpers/takes-long.ts'

type Context = Parameters<typeof startService>[0]

const start = (t: Context, { env, ...options }: StartOptions = {}) =>
  startService(t, {
    env: { REDIS: 'off', APP: fixture('counting-sockets'), CANARY_TIME: '100', LOG_LEVEL: 'info', ...env },
    ...options
  })

for (const app of ['counting-sockets', 'plain-sockets'])
  test(`WebSockets survive reloads, with every message answered once and in order: ${app}`, async (t) => {
    const service = await start(t, { env: { APP: fixture(app) } })
    const clients = await Promise.all(Array.from({ length: 30 }, () => SocketClient.open(service.port, '/count')))
    t.after(() => clients.map(({ socket }) => socket.terminate()))
    for (const [i, client] of clients.entries()) {
      if (i % 3 === 0) client.cutWrites(i)
      // Some are silent.
      if (i % 3 !== 1) client.start(20, i % 2 === 0 ? 300 : 0)
    }
    for (let i = 0; i < 3; i++) assert.equal((await service.reload()).msg, 'rollout done')
    for (const client of clients) {
      client.stop()
      client.send()
      await client.allAnswered()
      assert.ok(client.isExact, client.summary)
    }
    assert.ok(clients.some(({ pids }) => pids.size === 4))
  })

test('answers that the state function awaits are sent by the old worker, and later messages go to the new one', async (t) => {
  const service = await start(t, { workers: 1 })
  const clients = await Promise.all(Array.from({ length: 10 }, () => SocketClient.open(service.port, '/late')))
  t.after(() => clients.map(({ socket }) => socket.terminate()))
  for (const client of clients) client.start(5)
  await service.reload()
  for (const client of clients) {
    client.stop()
    client.send()
    await client.allAnswered()
    assert.ok(client.isExact && client.pids.size === 2, client.summary)
  }
})

test('the old handler sees close with wasTransferred, and the next worker the same request and protocol', async (t) => {
  const service = await start(t, { workers: 1 })
  const client = await SocketClient.open(service.port, '/count', { protocols: ['a', 'b'] })
  t.after(() => client.socket.terminate())
  client.send()
  await client.allAnswered()
  await service.reload()
  const moved = await service.line(({ msg }) => msg === 'socket closed')
  assert.equal(moved.moved, true)
  client.send()
  await client.allAnswered()
  assert.ok(client.isExact && client.pids.size === 2, client.summary)
  assert.equal(client.socket.protocol, 'b')
  client.socket.close(1000)
  const closed = await service.line(({ msg }) => msg === 'socket closed', service.lines.indexOf(moved) + 1)
  assert.deepEqual([closed.code, closed.moved, closed.reqId], [1000, false, moved.reqId])
})

test('a state that cannot be sent keeps its socket, which the app closes, and says why in the log', async (t) => {
  const service = await start(t, { workers: 1, env: { DRAIN_TIMEOUT: '10000' } })
  const reasons = {
    throws: /no state today/,
    slow: /not there after/,
    cyclic: /circular/i,
    nothing: /nothing that JSON/,
    large: /65538 bytes/
  }
  const clients = await Promise.all(Object.keys(reasons).map((name) => SocketClient.open(service.port, `/${name}`)))
  const from = service.lines.length
  service.child.kill('SIGHUP')
  for (const [i, [name, why]] of Object.entries(reasons).entries()) {
    assert.deepEqual(await clients[i]!.ended(), { code: 1012, reason: name })
    const line = await service.line(({ msg, url }) => msg === 'WebSocket not transferred' && url === `/${name}`, from)
    assert.match(String(line.why), why)
  }
})

test('a socket with compression stays, and the app is told so', async (t) => {
  const service = await start(t, { workers: 1 })
  const client = await SocketClient.open(service.port, '/count', { perMessageDeflate: true })
  assert.match(client.socket.extensions, /deflate/)
  client.send()
  await client.allAnswered()
  service.child.kill('SIGHUP')
  assert.deepEqual(await client.ended(), { code: 1012, reason: 'stays' })
})

test('a client that offers compression moves when the server has declined it', async (t) => {
  const service = await start(t, { workers: 1, env: { APP: fixture('plain-sockets') } })
  const client = await SocketClient.open(service.port, '/', { perMessageDeflate: true })
  t.after(() => client.socket.terminate())
  client.start(10)
  await service.reload()
  client.stop()
  client.send()
  await client.allAnswered()
  assert.ok(client.isExact && client.pids.size === 2, client.summary)
})

test('a message in several frames is awaited, and pings are answered on the way', async (t) => {
  const service = await start(t, { workers: 1 })
  const client = await SocketClient.open(service.port, '/count')
  t.after(() => client.socket.terminate())
  client.socket.send('1 fir', { fin: false })
  client.sent++
  // One ping is always on its way. ws ends a connection with many at once.
  let pings = 0
  let isPinging = true
  const ping = () => {
    if (!isPinging) return
    pings++
    client.socket.ping()
  }
  client.socket.on('pong', ping)
  ping()
  await service.reload()
  client.socket.send('st', { fin: true })
  await client.allAnswered()
  assert.equal(client.answers[0]?.message, '1 first', client.summary)
  await service.line(({ msg }) => msg === 'worker exited')
  isPinging = false
  client.send()
  await client.allAnswered()
  assert.ok(client.isExact && client.pids.size === 2, client.summary)
  await until(() => client.pongs === pings, 'an answer to every ping')
})

test('a client that sends without a pause moves, and one that reads nothing delays no other', async (t) => {
  const service = await start(t, { workers: 1, env: { DRAIN_TIMEOUT: '5000' } })
  const [busy, stuck, silent] = await Promise.all(
    [0, 1, 2].map(() => SocketClient.open(service.port, '/count', { maxPayload: 2 ** 30 }))
  )
  t.after(() => [busy, silent].map((client) => client!.socket.terminate()))
  stuck!.raw.pause()
  for (let i = 0; i < 40; i++) stuck!.send(1e6)
  let isOn = true
  const sendNext = () => {
    if (!isOn) return
    for (let i = 0; i < 20 && busy!.raw.writableLength < 1e5; i++) busy!.send(100)
    setImmediate(sendNext)
  }
  sendNext()
  await service.reload()
  await until(() => busy!.pids.size === 2, 'the next worker')
  isOn = false
  silent!.send()
  await Promise.all([busy!.allAnswered(), silent!.allAnswered()])
  assert.ok(busy!.isExact && silent!.isExact)
  const { connections } = await service.line(({ msg }) => msg === 'drained')
  assert.equal((connections as DrainStats).cut, 1)
  stuck!.socket.terminate()
})

test('a release without the route, or without WebSockets, closes the sockets with 1012', async (t) => {
  const deploys = new Deploys(t)
  const websocket = pathToFileURL(createRequire(import.meta.url).resolve('@fastify/websocket')).href
  const plugin = `await app.register((await import('${websocket}')).default)\n`
  const route = "app.get('/count', { websocket: true }, (socket, request) => request.transferable())"
  for (const [name, next] of Object.entries({ route: plugin, websockets: '' })) {
    deploys.deploy(`with-${name}`, `${plugin}${route}`)
    const service = await start(t, { workers: 1, env: { APP: deploys.app } })
    const clients = await Promise.all([1, 2, 3].map(() => SocketClient.open(service.port, '/count')))
    clients[0]!.start(1)
    // Half a frame travels with the socket.
    clients[1]!.raw.write(Buffer.from([0x81, 0x85, 1]))
    deploys.deploy(`without-${name}`, next)
    service.child.kill('SIGHUP')
    for (const client of clients) assert.equal((await client.ended()).code, 1012, name)
    await service.stop()
  }
})

test('a worker that is killed while sockets move takes only its own along, and no message is lost or repeated', async (t) => {
  for (const victim of ['old', 'new'] as const) {
    const service = await start(t, { env: { DRAIN_TIMEOUT: '5000' } })
    const clients = await Promise.all(Array.from({ length: 300 }, () => SocketClient.open(service.port, '/count')))
    for (const client of clients) client.send()
    await Promise.all(clients.map((client) => client.allAnswered()))
    const [oldest] = [...service.workers()].find(([, { slot }]) => slot === 0)!
    const from = service.lines.length
    service.child.kill('SIGHUP')
    const { worker: fresh } = await service.line((line) => line.msg === 'worker ready' && line.generation === 2, from)
    await service.line(({ msg }) => msg === 'socket closed', from)
    try {
      process.kill(victim === 'old' ? oldest : fresh!, 'SIGKILL')
    } catch {
      // The old worker was quicker: then all of its connections have moved.
    }
    await service.line(({ msg }) => msg.startsWith('rollout ') && msg !== 'rollout started', from)
    await service.until(() => service.workers().size === 2, 'two workers')
    const open = clients.filter(({ closed }) => closed === undefined)
    t.diagnostic(`${victim}: ${open.length} of 300 sockets go on`)
    assert.ok(open.length > 0)
    for (const client of open) client.send()
    await Promise.all(open.map((client) => client.allAnswered()))
    // One that was closed meanwhile belonged to a worker that was replaced.
    for (const client of open) assert.ok(client.closed !== undefined || client.isExact)
    for (const { socket } of clients) socket.terminate()
    assert.deepEqual(await service.stop(), { code: 0, signal: null })
  }
})
