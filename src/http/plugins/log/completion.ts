import type { ServerResponse } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'

/** How a request ended. */
export interface Completion {
  /** From the first hook to the end of the answer, in ms. */
  ms: number
  /** The client left before it had the whole answer. */
  aborted: boolean
}

type Observer = (request: FastifyRequest, reply: FastifyReply, completion: Completion) => void

declare module 'fastify' {
  interface FastifyInstance {
    completion: {
      /** Requests that are not answered yet. */
      inFlight(): number
      /** Calls it once for every request, when it is over, however it ends. */
      observe(observer: Observer): void
    }
  }
  interface FastifyReply {
    /** It has been observed. */
    over: boolean
  }
}

const REFUSED = Symbol('refused')
type KnownResponse = ServerResponse & { [REFUSED]?: true }

/**
 * Records that a request was refused on its socket, past its response: its body did not arrive, or was wrong. The response
 * then never finishes, but the client did get this status.
 */
export function refusedOnSocket(response: ServerResponse, statusCode: number): void {
  response.statusCode = statusCode
  ;(response as KnownResponse)[REFUSED] = true
}

/** What is done when a request is over. Fastify's `onResponse` is not called for one whose client has left. */
export const completion = fp(async (app) => {
  const observers: Observer[] = []
  let inFlight = 0
  app.decorate('completion', { inFlight: () => inFlight, observe: (observer) => void observers.push(observer) })
  app.decorateReply('over', false)
  const end = (request: FastifyRequest, reply: FastifyReply, aborted: boolean) => {
    reply.over = true
    const ended = { ms: reply.elapsedTime, aborted }
    for (const observer of observers) observer(request, reply, ended)
  }
  app.addHook('onRequest', (request, reply, done) => {
    inFlight++
    const { raw } = reply
    let open = true
    const close = () => {
      if (!open) return
      open = false
      inFlight--
      if (!reply.over) end(request, reply, !(raw as KnownResponse)[REFUSED])
    }
    // It is emitted once, and goes with the answer: to take the listener off again would only cost.
    raw.on('close', close)
    if (!raw.socket) {
      // An answer that waits behind those of a pipeline has no socket yet, and hears nothing of its end.
      const { socket } = request.raw
      socket.once('close', close)
      raw.on('close', () => socket.off('close', close))
    }
    done()
  })
  app.addHook('onResponse', (request, reply, done) => {
    end(request, reply, false)
    done()
  })
})
