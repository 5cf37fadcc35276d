import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type RequestListener, type Server, ServerResponse } from 'node:http'
import { type AddressInfo, connect, createServer as createNetServer, type Socket } from 'node:net'
import { describe, type TestContext, test } from 'node:test'
import {
  allowHalfOpen,
  createResponseClass,
  idleSockets,
  sentHead,
  startTimeouts,
  writeLinesFirst
} from '../../src/node-internals/http-server.ts'
import { startReading, stopReading } from '../../src/node-internals/tcp-handle.ts'
import { until } from '../helpers/until.ts'

const LINES = { linesBeside: () => 'x-static: 1\r\n' }
const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'

interface Client {
  socket: Socket
  text(): string
}

async function listen(t: TestContext, server: Server): Promise<() => Promise<Client>> {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  return async () => {
    const socket = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true })
    t.after(() => socket.destroy())
    await once(socket, 'connect')
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk
    })
    return { socket, text: () => text }
  }
}

const serverWith = (isLast: () => boolean, listener: RequestListener) =>
  createServer({ ServerResponse: createResponseClass(isLast) }, listener)

test('the head of a response is known once it is written, however that is done', async (t) => {
  const heads: string[] = []
  const server = createServer((request, response) => {
    heads.push(sentHead(response))
    if (request.url === '/') response.writeHead(200, { a: '1' })
    else response.setHeader('a', '1')
    response.write('x')
    heads.push(sentHead(response))
    response.end()
  })
  const open = await listen(t, server)
  for (const path of ['/', '/set']) {
    const { socket, text } = await open()
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`)
    await until(() => text().endsWith('0\r\n\r\n'), 'the response')
    const [before, head] = heads.splice(0)
    assert.equal(before, '')
    assert.ok(text().startsWith(head!) && /\r\na: 1\r\n/.test(head!), head)
  }
})

describe('a response', () => {
  test('starts with the static lines, however its headers are written', async (t) => {
    const open = await listen(
      t,
      serverWith(
        () => false,
        (request, response) => {
          assert.equal(writeLinesFirst(response, LINES), true)
          if (request.url === '/writeHead') response.writeHead(200, ['a', '1'])
          response.end('ok')
        }
      )
    )
    for (const path of ['/', '/writeHead']) {
      const { socket, text } = await open()
      socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`)
      await until(() => text().includes('ok'), 'the response')
      assert.match(text(), /^HTTP\/1\.1 200 OK\r\nx-static: 1\r\n/)
    }
  })

  test('is the last of its connection when that is decided after the request came', async (t) => {
    let isLast = false
    const open = await listen(
      t,
      serverWith(
        () => isLast,
        (_request, response) => {
          isLast = true
          response.end('ok')
        }
      )
    )
    const { socket, text } = await open()
    socket.write(GET)
    await once(socket, 'end')
    assert.match(text(), /\r\nConnection: close\r\n/)
  })

  test('keeps its static lines and its keep-alive decision when its prototype is replaced, as Express does', async (t) => {
    const prototype = Object.create(ServerResponse.prototype, { send: { value: ServerResponse.prototype.end } })
    let isLast = false
    const open = await listen(
      t,
      serverWith(
        () => isLast,
        (_request, response) => {
          Object.setPrototypeOf(response, prototype)
          assert.equal(writeLinesFirst(response, LINES), true)
          ;(response as ServerResponse & { send(text: string): void }).send('ok')
        }
      )
    )
    const { socket, text } = await open()
    socket.write(GET)
    await until(() => text().endsWith('ok'), 'the first response')
    assert.match(text(), /^HTTP\/1\.1 200 OK\r\nx-static: 1\r\n/)
    assert.doesNotMatch(text(), /Connection: close/)
    isLast = true
    socket.write(GET)
    await once(socket, 'end')
    assert.match(text(), /\r\nConnection: close\r\n/)
  })

  test('of a plain server takes no static lines', () => {
    assert.equal(writeLinesFirst({}, LINES), false)
  })
})

describe('a server', () => {
  test('starts to read again when Node resumes a socket that it had paused itself', async (t) => {
    const server = createServer((request, response) => {
      const { socket } = request
      stopReading(socket)
      socket.pause()
      startReading(socket)
      setTimeout(() => socket.resume(), 100)
      request.resume().once('end', () => response.end('ok'))
    })
    const open = await listen(t, server)
    const { socket, text } = await open()
    socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n')
    socket.write('a')
    await until(() => text().endsWith('ok'), 'the response')
  })

  test('names the sockets between two requests, and destroys none', async (t) => {
    const sockets: Socket[] = []
    const server = createServer((_request, response) => response.end('ok'))
    server.on('connection', (socket: Socket) => sockets.push(socket))
    const open = await listen(t, server)
    const idle = await open()
    idle.socket.write(GET)
    await until(() => idle.text().endsWith('ok'), 'the response')
    const reading = await open()
    reading.socket.write('GET / HTTP/1.1\r\nHo')
    await until(() => sockets[1]?.bytesRead === 18, 'half a request')
    assert.deepEqual([...idleSockets(server, sockets)], [sockets[0]])
    assert.deepEqual(
      sockets.map((socket) => [socket.destroyed, Object.hasOwn(socket, 'destroy')]),
      [
        [false, false],
        [false, false]
      ]
    )
  })

  test('answers a client that has closed its side behind the request', async (t) => {
    const server = createServer((request, response) =>
      request.once('end', () => setImmediate(() => response.end('ok'))).resume()
    )
    allowHalfOpen(server)
    const open = await listen(t, server)
    const { socket, text } = await open()
    socket.end(GET)
    await once(socket, 'end')
    assert.match(text(), /ok$/)
  })

  test('that does not listen has its timeouts', async (t) => {
    const server = createServer({ headersTimeout: 200, requestTimeout: 200, connectionsCheckingInterval: 50 })
    startTimeouts(server)
    t.after(() => server.close())
    const port = createNetServer((socket) => server.emit('connection', socket))
    await once(port.listen(0, '127.0.0.1'), 'listening')
    t.after(() => port.close())
    const socket = connect((port.address() as AddressInfo).port, '127.0.0.1')
    socket.write('GET / HTTP/1.1\r\n')
    const [text] = await once(socket, 'data')
    assert.match(String(text), /^HTTP\/1\.1 408 /)
    socket.destroy()
  })
})
