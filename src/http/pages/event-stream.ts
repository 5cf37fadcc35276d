import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { drainingOf } from '../transferable.ts'

/** How long a browser waits before it reconnects, in ms. */
const RETRY_MS = 250

/**
 * Turns the answer of a route into a stream of server-sent events. When the worker drains, the stream of a route with `config: {
 * resumable: true }` moves to another worker: the response emits `close` here, and the route's handler runs there. A stream that
 * cannot move ends with the event `bye`, and the browser reconnects to another worker.
 * @returns the response to write events to; undefined when the worker is draining already
 */
export function openEventStream(
  app: Pick<FastifyInstance, 'draining'>,
  reply: FastifyReply
): ServerResponse | undefined {
  reply.hijack()
  const response = reply.raw
  response.writeHead(200, {
    ...(reply.getHeaders() as OutgoingHttpHeaders),
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no'
  })
  // Node sends the head together with the first part of the body. The client should see at once that this is a stream.
  response.write(`retry: ${RETRY_MS}\n\n`)
  const sayBye = () => response.end(`event: bye\nretry: ${RETRY_MS}\ndata: the worker is draining\n\n`)
  const draining = drainingOf(reply.request.raw) ?? app.draining
  if (draining.aborted) {
    sayBye()
    return undefined
  }
  draining.addEventListener('abort', sayBye)
  response.on('close', () => draining.removeEventListener('abort', sayBye))
  return response
}
