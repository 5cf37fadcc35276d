import assert from 'node:assert/strict'
import { type IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { test } from 'node:test'
import type { FastifyPluginAsync, FastifyReply, FastifyRequest, InjectOptions } from 'fastify'
import { WebSocket, WebSocketServer } from 'ws'
import exampleRoutes from '../../src/routes/index.ts'
import { startApp, Visitor } from '../helpers/app.ts'

const HOST = 'muster.example'

test('requests that change something are refused from pages of other sites', async (t) => {
  const { app, redis } = await startApp(t, {
    routes: async (scope) => {
      await scope.register(exampleRoutes)
      scope.post('/webhook', { config: { crossSite: true } }, async () => 'taken')
    }
  })
  const visitor = new Visitor(app)
  await visitor.post('/session', { name: 'ada' })
  const before = await redis.get('muster:hits')
  const ask = async (request: InjectOptions, headers: Record<string, string>) =>
    (await visitor.request({ ...request, path: request.url as string, headers: { host: HOST, ...headers } })).statusCode

  const changes: InjectOptions[] = [
    { method: 'POST', url: '/session', payload: { name: 'eve' } },
    { method: 'DELETE', url: '/session' },
    { method: 'POST', url: '/session/sign-out' },
    { method: 'POST', url: '/hits' }
  ]
  const foreign: Record<string, string>[] = [
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'cross-site', origin: `https://${HOST}` },
    { 'sec-fetch-site': 'nonsense' },
    { origin: 'https://evil.example' },
    { origin: `https://${HOST}.evil.example` },
    { origin: `https://${HOST}:8443` },
    { origin: 'null' },
    { origin: HOST }
  ]
  for (const change of changes) {
    for (const headers of foreign) {
      assert.equal(await ask(change, headers), 403, `${change.method} ${change.url} ${JSON.stringify(headers)}`)
    }
  }
  assert.equal((await visitor.get('/session')).json().name, 'ada', 'nothing was changed')
  assert.equal(await redis.get('muster:hits'), before)

  for (const headers of [{ 'sec-fetch-site': 'cross-site' }, { origin: 'https://evil.example' }]) {
    assert.equal(await ask({ method: 'GET', url: '/session' }, headers), 200, 'a link to here')
    assert.equal(await ask({ method: 'POST', url: '/webhook' }, headers), 200, 'a route that says so')
  }
  const own: Record<string, string>[] = [
    { 'sec-fetch-site': 'same-origin' },
    { 'sec-fetch-site': 'none' },
    { origin: `https://${HOST}` },
    { origin: `http://${HOST}` },
    { 'sec-fetch-site': 'same-origin', origin: 'null' },
    {}
  ]
  for (const headers of own)
    assert.equal(await ask({ method: 'POST', url: '/hits' }, headers), 200, JSON.stringify(headers))
})

test('no body that a form of another site can send is parsed', async (t) => {
  const { app } = await startApp(t)
  for (const type of ['text/plain', 'multipart/form-data; boundary=x']) {
    for (const url of ['/session', '/hits']) {
      const answer = await app.inject({
        method: 'POST',
        url,
        headers: { 'content-type': type },
        payload: '{"name":"eve"}'
      })
      assert.equal(answer.statusCode, 415, `${url} ${type}`)
    }
  }
})

/** Two WebSockets that send the name of the user, wired as @fastify/websocket does it: the request runs through all hooks. */
const webSockets: FastifyPluginAsync = async (app) => {
  const server = new WebSocketServer({ noServer: true })
  app.server.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
    const response = new ServerResponse(request)
    response.assignSocket(socket as IncomingMessage['socket'])
    app.routing(request, response)
  })
  const open = async (request: FastifyRequest, reply: FastifyReply) => {
    reply.hijack()
    reply.raw.detachSocket(request.raw.socket)
    server.handleUpgrade(request.raw, request.raw.socket, Buffer.alloc(0), (socket) => {
      socket.send(String(request.session.name))
      socket.close()
    })
  }
  app.get('/socket', open)
  app.get('/socket-for-all', { config: { crossSite: true } }, open)
}

test('a page of another site cannot open a WebSocket with the cookie of a visitor', async (t) => {
  const routes: FastifyPluginAsync = async (scope) => {
    await scope.register(exampleRoutes)
    await scope.register(webSockets)
  }
  const { app, port } = await startApp(t, { listen: true, routes })
  const visitor = new Visitor(app)
  await visitor.post('/session', { name: 'ada' })
  /** The answer of the socket, or the status of the refusal. */
  const open = (path: string, headers: Record<string, string>) =>
    new Promise<string | number | undefined>((resolve, reject) => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, {
        headers: { host: HOST, cookie: `${visitor.cookieName}=${visitor.cookie}`, ...headers }
      })
      socket.on('message', (text) => resolve(String(text)))
      socket.on('unexpected-response', (request, { statusCode }) => {
        request.destroy()
        resolve(statusCode)
      })
      socket.on('error', reject)
    })

  for (const headers of [
    { origin: 'http://evil.example' },
    { origin: 'null' },
    { 'sec-fetch-site': 'cross-site', origin: `https://${HOST}` },
    { 'sec-fetch-site': 'same-site' }
  ] as Record<string, string>[]) {
    assert.equal(await open('/socket', headers), 403, JSON.stringify(headers))
    assert.equal(await open('/socket-for-all', headers), 'ada', 'a route that says so')
  }
  for (const headers of [{ origin: `https://${HOST}` }, { 'sec-fetch-site': 'same-origin' }, {}] as Record<
    string,
    string
  >[]) {
    assert.equal(await open('/socket', headers), 'ada', JSON.stringify(headers))
  }
})
