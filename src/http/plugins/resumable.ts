import type { FastifyRequest, RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import { StartupError } from '../../common/errors.ts'
import { drainingOf, type GetState, transferable, transferredState, wasTransferred } from '../transferable.ts'
import { addRouteHook } from './route-hook.ts'

/**
 * Lets the event streams of routes with `config: { resumable: true }` move between workers, and decorates requests for other
 * exchanges that move.
 */
export const resumable = fp(async (app) => {
  app.decorateRequest('transferable', function (this: FastifyRequest, getState?: GetState) {
    transferable(this.raw, getState)
  })
  app.decorateRequest('transferredState', {
    getter(this: FastifyRequest) {
      return transferredState(this.raw)
    }
  })
  app.decorateRequest('wasTransferred', {
    getter(this: FastifyRequest) {
      return wasTransferred(this.raw)
    }
  })
  app.decorateRequest('draining', {
    getter(this: FastifyRequest) {
      return drainingOf(this.raw) ?? app.draining
    }
  })
  app.addHook('onRoute', (route) => {
    if (!isResumable(route)) return
    addRouteHook(route, 'onRequest', offer, 'first')
  })
})

const offer = (request: FastifyRequest, _reply: unknown, done: () => void) => {
  transferable(request.raw)
  done()
}

/** @throws StartupError */
function isResumable({ method, url, config }: RouteOptions): boolean {
  const { resumable: value } = config ?? {}
  if (value === undefined) return false
  if (typeof value !== 'boolean')
    throw new StartupError(`route ${method} ${url}: config.resumable must be true or false`)
  const methods = [method].flat()
  if (!value || methods.includes('GET')) return value
  // Fastify derives the HEAD route from a GET.
  if (methods.every((name) => name === 'HEAD')) return false
  throw new StartupError(`route ${method} ${url}: config.resumable is for event streams, whose method is GET`)
}
