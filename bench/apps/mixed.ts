import type { ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyPluginAsync } from 'fastify'
import type {} from '../../src/http/app.ts'

// What the clients of the reload bench ask for: the same file is muster's APP and what rolling.ts registers. It wants
// one thing of its host, `app.draining`: an AbortSignal that says that the worker is about to be stopped.

const frameMs = 500
// to muster: no session and no line in the log for these; Fastify itself reads neither
const config = { session: false, quiet: true } as const

const plugin: FastifyPluginAsync = async (app) => {
  app.get<{ Querystring: { id: string } }>('/echo', { config }, async ({ query }) => ({ id: query.id }))
  app.get<{ Querystring: { id: string; ms: string } }>('/slow', { config }, async ({ query }) => {
    await sleep(Number(query.ms))
    return { id: query.id }
  })

  const streams = new Set<ServerResponse>()
  const bye = (stream: ServerResponse) => stream.end('event: bye\nretry: 250\ndata: this worker leaves\n\n')
  app.draining.addEventListener('abort', () => {
    for (const stream of streams) bye(stream)
  })
  app.get('/events', { config }, (_request, reply) => {
    reply.hijack()
    const stream = reply.raw
    stream.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    stream.write('data: welcome\n\n')
    if (app.draining.aborted) {
      bye(stream)
      return
    }
    const frames = setInterval(() => stream.writableEnded || stream.write('data: frame\n\n'), frameMs)
    streams.add(stream)
    stream.on('close', () => {
      streams.delete(stream)
      clearInterval(frames)
    })
  })
}
export default plugin
