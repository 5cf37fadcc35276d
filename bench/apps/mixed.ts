import { setTimeout as sleep } from 'node:timers/promises'
import websocket from '@fastify/websocket'
import type { FastifyPluginAsync } from 'fastify'
import { openEventStream, transferable, transferredState } from '../../src/index.ts'

// What the clients of the reload bench ask for: the same file is muster's APP and what mixed-app.ts registers. It wants one
// thing of its host, `app.draining`: an AbortSignal that says that the worker is about to be stopped. An app that runs under
// something else than muster ignores `resumable` and `transferable`.

const EVENT_MS = 100
// For muster: these routes have no session and no line in the log. Fastify itself ignores both.
const config = { session: false, quiet: true } as const

const plugin: FastifyPluginAsync = async (app) => {
  await app.register(websocket)
  app.get<{ Querystring: { id: string } }>('/echo', { config }, async ({ query }) => ({ id: query.id }))
  app.get<{ Querystring: { id: string; ms: string } }>('/slow', { config }, async ({ query }) => {
    await sleep(Number(query.ms))
    return { id: query.id }
  })

  // Continues behind the last event that the client has read.
  app.get('/events', { config: { ...config, resumable: true } }, (request, reply) => {
    const stream = openEventStream(app, reply)
    if (!stream) return
    let id = Number(request.headers['last-event-id'] ?? 0)
    const timer = setInterval(() => stream.writableEnded || stream.write(`id: ${++id}\ndata: event\n\n`), EVENT_MS)
    stream.on('close', () => clearInterval(timer))
  })

  // Answers each message with the number of messages of this socket.
  app.get('/socket', { config, websocket: true }, (socket, request) => {
    let count = transferredState<number>(request) ?? 0
    transferable(request, () => count)
    socket.on('message', () => socket.send(String(++count)))
  })
}
export default plugin
