import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type AcceptingHandle,
  acceptHandles,
  bindDescriptor,
  bindTcp,
  bindUnix,
  boundPort,
  listeningHandleOf,
  listenOnHandle,
  pauseAccepting,
  reopen,
  resumeAccepting,
  supportsReusePort
} from '../../src/node-internals/listening-handle.ts'
import { isUnixHandle, socketFromHandle } from '../../src/node-internals/tcp-handle.ts'
import { temporaryFolder } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'

const connected = async (t: TestContext, to: { port: number; host: string } | { path: string }): Promise<Socket> => {
  const socket = connect(to)
  t.after(() => socket.destroy())
  await once(socket, 'connect')
  return socket
}

describe('the handle of a port', () => {
  test('is bound without listening, and a port in use is an error with a code', async (t) => {
    const handle = bindTcp('127.0.0.1', 0, 4)
    t.after(() => handle.close())
    const port = boundPort(handle)!
    await assert.rejects(once(connect(port, '127.0.0.1'), 'connect'), { code: 'ECONNREFUSED' })
    const server = createServer()
    await once(server.listen(0, '127.0.0.1'), 'listening')
    t.after(() => server.close())
    const taken = (server.address() as { port: number }).port
    assert.throws(() => boundPort(bindTcp('127.0.0.1', taken, 4)), { code: 'EADDRINUSE' })
    assert.throws(() => bindTcp('192.0.2.1', 0, 4), { code: 'EADDRNOTAVAIL' })
  })

  for (const [how, open] of [
    ['reopened by its descriptor', reopen],
    ['taken over by its descriptor', ({ fd }: { fd: number }) => bindDescriptor(fd)]
  ] as const) {
    test(`stops accepting and continues when it was ${how}`, async (t) => {
      const bound = bindTcp('127.0.0.1', 0, 4)
      const port = boundPort(bound)!
      const handle = open(bound)
      const server = createServer((socket) => socket.end('hello'))
      t.after(() => server.close())
      await new Promise<void>((resolve) => server.listen(handle, 16, resolve))
      const listening = listeningHandleOf(server)!
      pauseAccepting(listening)
      const client = await connected(t, { port, host: '127.0.0.1' })
      let text = ''
      client.on('data', (chunk) => {
        text += chunk
      })
      await sleep(100)
      assert.equal(text, '')
      resumeAccepting(listening)
      await until(() => text === 'hello', 'the answer')
    })
  }

  test('listens and accepts bare handles without a server', async (t) => {
    const bound = bindTcp('127.0.0.1', 0, 4)
    const port = boundPort(bound)!
    const handle = bound as unknown as AcceptingHandle
    t.after(() => handle.close())
    const accepted = new Promise<object>((resolve) => acceptHandles(handle, resolve, () => {}))
    listenOnHandle(handle, 16)
    const client = await connected(t, { port, host: '127.0.0.1' })
    const connection = await accepted
    assert.equal(isUnixHandle(connection), false)
    socketFromHandle(connection).end('hello')
    const [text] = await once(client, 'data')
    assert.equal(String(text), 'hello')
  })

  test('may be a Unix socket', async (t) => {
    const path = join(temporaryFolder(t), 'socket')
    const bound = bindUnix(path)
    assert.equal(boundPort(bound), undefined)
    assert.throws(() => bindUnix(path), { code: 'EADDRINUSE' })
    const handle = bound as unknown as AcceptingHandle
    t.after(() => handle.close())
    const accepted = new Promise<object>((resolve) => acceptHandles(handle, resolve, () => {}))
    listenOnHandle(handle, 16)
    const client = await connected(t, { path })
    const connection = await accepted
    assert.equal(isUnixHandle(connection), true)
    socketFromHandle(connection).end('hello')
    const [text] = await once(client, 'data')
    assert.equal(String(text), 'hello')
  })

  test('is shared between two sockets where Node supports that', { skip: !supportsReusePort() }, (t) => {
    const first = bindTcp('127.0.0.1', 0, 4, true)
    t.after(() => first.close())
    const second = bindTcp('127.0.0.1', boundPort(first)!, 4, true)
    t.after(() => second.close())
    assert.equal(boundPort(second), boundPort(first))
  })
})
