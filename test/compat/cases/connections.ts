import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'
import type { Case, Site } from '../case.ts'
import { requireInstalled } from '../installed.ts'

/** WebSockets, proxies and other servers. */
export const connections: Case[] = [
  {
    name: 'websocket',
    packages: ['@fastify/websocket'],
    note: 'in a reload, an open WebSocket stays with its old worker until DRAIN_TIMEOUT and is then closed: clients must reconnect',
    check: ({ url }) => echo(url, '/echo')
  },
  {
    name: 'socket-io-fastify',
    packages: ['socket.io'],
    title: 'socket.io on the server of a Fastify app',
    env: { SCHEDULING: 'sticky' },
    line: '`SCHEDULING=sticky`: the polling of socket.io needs one worker for all requests of a client',
    check: checkSocketIo
  },
  {
    name: 'socket-io',
    packages: ['socket.io'],
    title: 'socket.io on a `node:http` server',
    env: { SCHEDULING: 'sticky' },
    line: '`SCHEDULING=sticky`: the polling of socket.io needs one worker for all requests of a client',
    check: checkSocketIo
  },
  {
    name: 'redis',
    packages: ['@fastify/redis'],
    async check({ visitor }) {
      assert.deepEqual((await visitor().get('/')).json, { pong: 'PONG' })
      const { count } = (await visitor().ask('POST', '/count', { json: {} })).json
      assert.equal((await visitor().ask('POST', '/count', { json: {} })).json.count, count + 1)
    }
  },
  {
    name: 'http-proxy',
    packages: ['@fastify/http-proxy'],
    prepare: startUpstream,
    load: { path: '/api/hello', body: /upstream/ },
    async check({ visitor, url }) {
      assert.deepEqual((await visitor().get('/')).json, { own: true })
      assert.deepEqual((await visitor().get('/api/hello')).json, { upstream: 'GET /hello', body: '' })
      const posted = await visitor().ask('POST', '/api/echo', { json: { name: 'ada' } })
      assert.deepEqual(posted.json, { upstream: 'POST /echo', body: '{"name":"ada"}' })
      await echo(url, '/api/socket')
    }
  },
  {
    name: 'reply-from',
    packages: ['@fastify/reply-from'],
    prepare: startUpstream,
    load: { body: /upstream/ },
    async check({ visitor }) {
      assert.deepEqual((await visitor().get('/')).json, { upstream: 'GET /hello', body: '' })
      const posted = await visitor().ask('POST', '/', { json: { name: 'ada' } })
      assert.deepEqual(posted.json, { upstream: 'POST /echo', body: '{"name":"ada"}' })
    }
  }
]

/** Sends a message to a WebSocket and expects its echo. */
async function echo(url: string, path: string): Promise<void> {
  const socket = new WebSocket(url.replace('http', 'ws') + path)
  await once(socket, 'open')
  socket.send('hello')
  const [answer] = await once(socket, 'message')
  assert.equal(String(answer), 'echo: hello')
  socket.close()
  await once(socket, 'close')
}

/** Connects with polling only, with WebSocket only, and as browsers do: polling first, then an upgrade. */
async function checkSocketIo({ url, visitor }: Site): Promise<void> {
  assert.deepEqual((await visitor().get('/')).json, { http: true })
  const { io } = requireInstalled('socket.io-client')
  for (const transports of [['polling'], ['websocket'], ['polling', 'websocket']]) {
    const client = io(url, { transports, forceNew: true, reconnection: false })
    try {
      await new Promise((resolve, reject) => client.on('connect', resolve).on('connect_error', reject))
      const answer = await client.timeout(10_000).emitWithAck('echo', 'hello')
      assert.equal(answer, 'echo: hello')
    } finally {
      client.close()
    }
  }
}

/** Starts a server that answers with what it was asked, and echoes on WebSockets. */
async function startUpstream(t: TestContext): Promise<Record<string, string>> {
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk) => (body += chunk))
    request.on('end', () => {
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ upstream: `${request.method} ${request.url}`, body }))
    })
  })
  const sockets = new WebSocketServer({ server })
  sockets.on('connection', (socket) => socket.on('message', (text) => socket.send(`echo: ${text}`)))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    sockets.close()
    server.close()
    server.closeAllConnections()
  })
  return { UPSTREAM: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}
