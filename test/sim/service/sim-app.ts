import type { IncomingMessage, ServerResponse } from 'node:http'
import { drainingOf } from '../../../src/http/transferable.ts'
import type { Connections } from '../../../src/worker/connections/connections.ts'

/** What the code of a release does. It is the content of its file. */
export interface Behaviour {
  version: number
  boots: 'well' | 'reports that it cannot' | 'dies' | 'never'
  /** Probability of a 500. */
  errors: number
}

/** What the app tells its surroundings. */
export interface AppListener {
  /** The handler begins with this request. */
  onRequest(id: string): void
  /** A response is complete, or its client has gone. */
  onAnswered(request: IncomingMessage, response: ServerResponse, ms: number): void
}

/**
 * The app that simulated workers serve: `/work?id=…&ms=…` answers after a time with the id, a POST answers when its body has come, and
 * `/events?ms=…` is an event stream of numbers that goes on in another worker.
 */
export function createSimApp(connections: Connections, { errors }: Behaviour, listener: AppListener) {
  return (request: IncomingMessage, response: ServerResponse): void => {
    const startedAt = performance.now()
    const { searchParams, pathname } = new URL(request.url ?? '/', 'http://sim')
    const ms = Number(searchParams.get('ms'))
    const id = searchParams.get('id') ?? ''
    response.on('close', () => listener.onAnswered(request, response, performance.now() - startedAt))
    if (pathname === '/events') {
      serveEvents(connections, request, response, ms)
      return
    }
    listener.onRequest(id)
    const answer = () => {
      if (response.destroyed) return
      const body = `id=${id}`
      response.writeHead(Math.random() < errors ? 500 : 200, { 'content-length': body.length }).end(body)
    }
    let timer: NodeJS.Timeout | undefined
    const begin = () => {
      timer = setTimeout(answer, ms)
    }
    response.on('close', () => clearTimeout(timer))
    if (request.method === 'POST') request.resume().on('end', begin)
    else begin()
  }
}

function serveEvents(connections: Connections, request: IncomingMessage, response: ServerResponse, ms: number): void {
  connections.offer(request)
  let last = Number(request.headers['last-event-id'] ?? 0)
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  response.write(': begins\n\n')
  const timer = setInterval(() => response.write(`id: ${++last}\ndata: ${last}\n\n`), ms)
  response.on('close', () => clearInterval(timer))
  drainingOf(request)?.addEventListener('abort', () => {
    clearInterval(timer)
    response.end()
  })
}
