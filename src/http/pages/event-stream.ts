import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { FastifyInstance, FastifyReply } from 'fastify'

/** How soon a browser comes back when its worker leaves, in ms. */
const RETRY_MS = 250

/**
 * The answer of a route becomes a stream of server-sent events. When its worker begins to leave it ends with a last event,
 * and its browser comes back elsewhere.
 * @returns what events are written to; undefined: the worker leaves already
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
  // Node sends a head with the first of a body: whoever asks is to know at once that it is a stream.
  response.write(`retry: ${RETRY_MS}\n\n`)
  const bye = () => response.end(`event: bye\nretry: ${RETRY_MS}\ndata: this worker leaves\n\n`)
  if (app.draining.aborted) {
    bye()
    return undefined
  }
  app.draining.addEventListener('abort', bye)
  response.on('close', () => app.draining.removeEventListener('abort', bye))
  return response
}
