import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { connect, createServer, type Socket } from 'node:net'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from 'node:tls'
import { acceptHandles, bindTcp, boundPort, listeningHandleOf } from '../../src/node-internals/listening-handle.ts'
import {
  handleOf,
  peerAddressOf,
  socketFromHandle,
  startReading,
  stopReading,
  takeHandle,
  tcpSocketBelow
} from '../../src/node-internals/tcp-handle.ts'
import { Authority } from '../helpers/certificates.ts'
import { fixture } from '../helpers/load.ts'
import { until } from '../helpers/until.ts'

/** @returns both ends of a connection; the server's end is a bare handle */
async function connection(t: TestContext): Promise<{ handle: object; client: Socket }> {
  const server = createServer()
  const bound = bindTcp('127.0.0.1', 0, 4)
  const port = boundPort(bound)!
  await once(server.listen({ fd: bound.fd }), 'listening')
  const accepted = new Promise<object>((resolve) => acceptHandles(listeningHandleOf(server)!, resolve, () => {}))
  const client = connect(port, '127.0.0.1')
  t.after(() => {
    client.destroy()
    server.close()
  })
  return { handle: await accepted, client }
}

describe('the handle of a connection', () => {
  test('becomes a socket that stays half-open after FIN and knows its peer', async (t) => {
    const { handle, client } = await connection(t)
    assert.equal(peerAddressOf(handle), '127.0.0.1')
    const socket = socketFromHandle(handle)
    t.after(() => socket.destroy())
    assert.equal(handleOf(socket), handle)
    client.end('last words')
    const [text] = await once(socket, 'data')
    assert.equal(String(text), 'last words')
    await once(socket, 'end')
    socket.end('answer')
    const [answer] = await once(client, 'data')
    assert.equal(String(answer), 'answer')
  })

  test('reads nothing while reading is stopped, and everything afterwards', async (t) => {
    const { handle, client } = await connection(t)
    const socket = socketFromHandle(handle)
    t.after(() => socket.destroy())
    let read = ''
    socket.on('data', (chunk) => {
      read += chunk
    })
    client.write('a')
    await until(() => read === 'a', 'the first byte')
    stopReading(socket)
    client.write('b')
    await sleep(100)
    assert.equal(socket.bytesRead, 1)
    startReading(socket)
    await until(() => read === 'ab', 'the second byte')
  })

  test('tells how much of a write the kernel has taken', async (t) => {
    const { handle, client } = await connection(t)
    const socket = socketFromHandle(handle)
    t.after(() => socket.destroy())
    client.pause()
    const bytes = 64 * 2 ** 20
    socket.write(Buffer.alloc(bytes))
    await sleep(100)
    const { bytesWritten, writeQueueSize } = handleOf(socket)!
    assert.equal(bytesWritten, bytes)
    assert.ok(writeQueueSize > 0 && writeQueueSize < bytes, `${writeQueueSize} bytes are left`)
    client.resume()
    await until(() => handleOf(socket)?.writeQueueSize === 0, 'the rest', 30_000)
  })

  test('moves to another process through the channel, with bytes that were not read', async (t) => {
    const { handle, client } = await connection(t)
    const socket = socketFromHandle(handle)
    stopReading(socket)
    client.write('ping')
    const child = fork(fixture('echo-handle'))
    t.after(() => child.kill())
    child.send({ type: 'handle' }, handle as never)
    const [taken] = await once(child, 'message')
    assert.equal(taken, 'taken')
    socket.destroy()
    const [answer] = await once(client, 'data')
    assert.equal(String(answer), 'ping')
  })
})

test('a handle that is taken from a request goes on in another socket, and the request ends as if its client had left', async (t) => {
  const { handle, client } = await connection(t)
  const ended: string[] = []
  const server = createHttpServer((request, response) => {
    request.on('close', () => ended.push('request'))
    response.on('close', () => {
      ended.push('response')
      response.end('nowhere')
    })
    response.write('first')
  })
  const socket = socketFromHandle(handle)
  let text = ''
  client.on('data', (chunk) => {
    text += chunk
  })
  server.emit('connection', socket)
  client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await until(() => text.endsWith('first\r\n'), 'the beginning of the response')
  assert.equal(takeHandle(socket), handle)
  client.write('ping')
  await until(() => ended.length === 2, 'both events')
  assert.equal(socket.destroyed, true)
  assert.equal(takeHandle(socket), undefined)
  const next = socketFromHandle(handle)
  t.after(() => next.destroy())
  const [read] = await once(next, 'data')
  assert.equal(String(read), 'ping')
  next.write('pong')
  await until(() => text.endsWith('first\r\npong'), 'the rest')
})

test('the TCP socket below a TLS socket is known', async (t) => {
  const { cert, key } = new Authority(t).sign('server')
  const server = createTlsServer({ cert: readFileSync(cert), key: readFileSync(key) })
  const raw = createServer((socket) => server.emit('connection', socket))
  await once(raw.listen(0, '127.0.0.1'), 'listening')
  const { port } = raw.address() as { port: number }
  const client = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false })
  t.after(() => {
    client.destroy()
    raw.close()
  })
  const [[accepted], [secure]] = (await Promise.all([once(raw, 'connection'), once(server, 'secureConnection')])) as [
    [Socket],
    [TLSSocket]
  ]
  assert.equal(tcpSocketBelow(secure), accepted)
})
