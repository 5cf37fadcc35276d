import assert from 'node:assert/strict'
import { once } from 'node:events'
import { WebSocket } from 'ws'
import type { Case, Site } from '../case.ts'
import { requireInstalled } from '../installed.ts'
import { startUpstream } from '../upstream.ts'

/** WebSockets, proxies and other servers. */
export const connections: Case[] = [
  {
    name: 'websocket',
    packages: ['@fastify/websocket'],
    note: 'in a reload or a stop, open WebSockets are closed with the code 1012, [spread over some seconds](explanation/reload.md#websockets), so clients must reconnect',
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
