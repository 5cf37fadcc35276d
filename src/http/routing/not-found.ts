import type { IncomingMessage } from 'node:http'
import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import { MethodNotAllowedError, notFound } from '../../common/errors.ts'
import type { IndexedRoute, RouteIndex } from './route-index.ts'

export interface NotFoundOptions {
  index: RouteIndex
  /** Whether methods that a path lacks get 405, and OPTIONS a list of its methods. */
  methodCheck: boolean
  /** Whether a route exists at the port of a connection. Undefined: every route does. */
  isAtPort?: ((route: IndexedRoute, request: FastifyRequest) => boolean) | undefined
}

const ROUTE = Symbol('route')
type MarkedRequest = IncomingMessage & { [ROUTE]?: string }

/**
 * Returns the template of the route of a request.
 * @returns the route whose methods do not include that of the request, if no other matches; empty when no route has the path
 */
export const routeOf = (request: FastifyRequest): string =>
  request.routeOptions.url ?? (request.raw as MarkedRequest)[ROUTE] ?? ''

/**
 * Creates a plugin that answers requests that no route matches, unless the app has a not-found handler of its own. Register it
 * after the app, in the scope of the app: hooks of the app also run for these requests, as in plain Fastify.
 */
export function answerNotFound(options: NotFoundOptions): FastifyPluginAsync {
  return async (scope) => {
    try {
      scope.setNotFoundHandler((request, reply) => reply.send(notFoundError(request)))
    } catch {
      // Fastify throws when there is a handler already. It has no other way to ask.
      return
    }
    // In a hook, because Fastify calls the handler only after it has read the body.
    scope.addHook('onRequest', (request, reply, done) => {
      const route = options.methodCheck ? options.index.find(request.url) : undefined
      // With constraints, a route may have the method for other hosts or versions only.
      if (!route || route.methods.has(request.method) || options.isAtPort?.(route, request) === false) {
        return done(notFoundError(request))
      }
      ;(request.raw as MarkedRequest)[ROUTE] = route.url
      const allow = [...new Set([...route.methods, 'OPTIONS'])].join(', ')
      if (request.method === 'OPTIONS') void reply.header('allow', allow).code(204).send()
      else done(new MethodNotAllowedError(request.method, pathOf(request), allow))
    })
  }
}

const pathOf = (request: FastifyRequest) => request.url.split('?', 1)[0] as string

const notFoundError = (request: FastifyRequest) => notFound(request.method, pathOf(request))
