import type { ServerResponse } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { wasTransferred } from '../../transferable.ts'

/** How a request ended. */
export interface Completion {
  /** From the first hook to the end of the answer, in ms. */
  ms: number
  /** Whether the client left before it had the whole answer. */
  aborted: boolean
}

type Observer = (request: FastifyRequest, reply: FastifyReply, completion: Completion) => void

declare module 'fastify' {
  interface FastifyInstance {
    completion: {
      /** The number of requests that are not answered yet. */
      inFlight(): number
      /**
       * Registers a function that is called exactly once per request, when the request ends, however it ends. One that goes on in
       * another worker ends there.
       */
      observe(observer: Observer): void
    }
  }
}

/** Set on a reply when the observers have been called. A symbol, because plugins may have any name for theirs. */
const COMPLETED = Symbol('completed')
type MarkedReply = FastifyReply & { [COMPLETED]?: boolean }

const REFUSED = Symbol('refused')
type MarkedResponse = ServerResponse & { [REFUSED]?: true }

/**
 * Records that a request was refused by an answer written directly to its socket, because its body did not arrive or was
 * invalid. The response object then never finishes, but the client did get this status.
 */
export function markRefusedOnSocket(response: ServerResponse, statusCode: number): void {
  response.statusCode = statusCode
  ;(response as MarkedResponse)[REFUSED] = true
}

/** Decorates the app with `app.completion`. Fastify's own `onResponse` is not called when the client has left. */
export const completion = fp(async (app) => {
  const observers: Observer[] = []
  let inFlight = 0
  app.decorate('completion', { inFlight: () => inFlight, observe: (observer) => void observers.push(observer) })
  app.decorateReply(COMPLETED, false)
  const complete = (request: FastifyRequest, reply: FastifyReply, aborted: boolean) => {
    ;(reply as MarkedReply)[COMPLETED] = true
    const ended = { ms: reply.elapsedTime, aborted }
    for (const observer of observers) observer(request, reply, ended)
  }
  app.addHook('onRequest', (request, reply, done) => {
    inFlight++
    onClose(request, reply, () => {
      inFlight--
      if (wasTransferred(request.raw)) return
      if (!(reply as MarkedReply)[COMPLETED]) complete(request, reply, !(reply.raw as MarkedResponse)[REFUSED])
    })
    done()
  })
  app.addHook('onResponse', (request, reply, done) => {
    complete(request, reply, false)
    done()
  })
})

/** Calls back once, when the response or the connection closes. */
function onClose(request: FastifyRequest, reply: FastifyReply, callback: () => void): void {
  const { raw } = reply
  let isOpen = true
  const close = () => {
    if (!isOpen) return
    isOpen = false
    callback()
  }
  // The listener is never removed: the event is emitted once, and the response is garbage after that.
  raw.on('close', close)
  if (raw.socket) return
  // A response that waits behind others of a pipeline has no socket yet, and would not notice that the connection ends.
  const { socket } = request.raw
  socket.once('close', close)
  raw.on('close', () => socket.off('close', close))
}
