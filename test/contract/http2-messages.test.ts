import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type ClientHttp2Session, connect, constants, createServer } from 'node:http2'
import { type AddressInfo, connect as connectTcp, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { Request, Response, setSessionSocket } from '../../src/node-internals/http2-messages.ts'
import { until } from '../helpers/until.ts'

type Listener = (request: Request, response: Response) => void

async function serve(t: TestContext, listener: Listener): Promise<{ port: number; client: ClientHttp2Session }> {
  const server = createServer({ Http2ServerRequest: Request, Http2ServerResponse: Response }, listener)
  server.on('session', (session) => setSessionSocket(session, session.socket as Socket))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  const client = connect(`http://127.0.0.1:${port}`)
  client.on('error', () => {})
  t.after(() => {
    client.destroy()
    server.close()
  })
  return { port, client }
}

test('a response without trailers ends with its last DATA frame', async (t) => {
  const { port } = await serve(t, (_request, response) => response.end('ok'))
  const socket = connectTcp(port, '127.0.0.1')
  t.after(() => socket.destroy())
  let received = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk])
  })
  const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])
  // HEADERS of stream 1 with END_STREAM and END_HEADERS; HPACK: GET, http, /, :authority x.
  const request = Buffer.from([0, 0, 6, 1, 5, 0, 0, 0, 1, 0x82, 0x86, 0x84, 0x41, 0x01, 0x78])
  socket.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), settings, request]))
  const dataFrames = () => {
    const found: { length: number; endStream: boolean }[] = []
    for (let at = 0; at + 9 <= received.length; at += 9 + received.readUIntBE(at, 3)) {
      if (received[at + 3] === 0)
        found.push({ length: received.readUIntBE(at, 3), endStream: (received[at + 4]! & 1) === 1 })
    }
    return found
  }
  await until(() => dataFrames().some(({ endStream }) => endStream), 'the end of the stream')
  assert.deepEqual(dataFrames(), [{ length: 2, endStream: true }])
})

test('a response tells how much of a large body was sent, in steps', async (t) => {
  const bytes = 512 * 1024
  const responses: Response[] = []
  const { client } = await serve(t, (_request, response) => {
    responses.push(response)
    response.end(Buffer.alloc(bytes))
  })
  const stream = client.request({ ':path': '/' })
  stream.pause()
  await until(() => (responses[0]?.sentBytes ?? 0) > 0, 'the first bytes')
  const [response] = responses as [Response]
  assert.ok(response.sentBytes < bytes, `${response.sentBytes} bytes`)
  assert.equal(response.sentBytes + response.unsentBytes, bytes)
  stream.resume()
  await until(() => response.sentBytes === bytes, 'the rest')
})

test('only a response that was sent completely emits finish', async (t) => {
  const events: string[] = []
  const { client } = await serve(t, ({ url }, response) => {
    response.on('finish', () => events.push(`${url} finish`)).on('close', () => events.push(`${url} close`))
    if (url === '/cut') response.write('a')
    else if (url === '/large') response.end(Buffer.alloc(512 * 1024))
    else response.end('ok')
  })
  const complete = client.request({ ':path': '/complete' }).resume()
  await once(complete, 'close')
  const sent = client.request({ ':path': '/with-body', ':method': 'POST' }).resume()
  sent.end('a body')
  await once(sent, 'close')
  const large = client.request({ ':path': '/large' })
  await once(large, 'data')
  large.pause().close(constants.NGHTTP2_CANCEL)
  await until(() => events.includes('/large close'), 'the end')
  const cut = client.request({ ':path': '/cut' })
  await once(cut, 'data')
  cut.close()
  await until(() => events.includes('/cut close'), 'the end')
  assert.deepEqual(events, [
    '/complete finish',
    '/complete close',
    '/with-body finish',
    '/with-body close',
    '/large close',
    '/cut close'
  ])
})

test('a request has its socket after the session has ended, and a connection header is left out', async (t) => {
  const requests: Request[] = []
  const { client } = await serve(t, (request, response) => {
    requests.push(request)
    response.writeHead(200, { connection: 'close', 'x-own': '1' }).end()
  })
  const [headers] = await once(client.request({ ':path': '/' }).resume(), 'response')
  assert.equal(headers['x-own'], '1')
  assert.equal(headers.connection, undefined)
  client.destroy()
  await once(requests[0]!.stream.session!, 'close').catch(() => {})
  assert.doesNotThrow(() => requests[0]!.socket)
})
