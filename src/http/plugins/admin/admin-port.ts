import type { Socket } from 'node:net'
import type { FastifyInstance, FastifyRequest } from 'fastify'

/** Moves every route of a scope to ADMIN_PORT. Call it before the routes are added. */
export function onlyAtAdminPort(scope: FastifyInstance): void {
  scope.addHook('onRoute', (route) => {
    route.config = { ...route.config, port: 'admin' }
  })
}

/**
 * Answers 404 at the port to which a route does not belong, as if there were no such route. Call it before the routes are
 * added.
 * @param isAdminSocket whether a connection was accepted at ADMIN_PORT
 * @returns a function that returns whether a route belongs to the port of a request
 */
export function separatePorts(
  app: FastifyInstance,
  isAdminSocket: (socket: Socket) => boolean
): (route: { url: string }, request: FastifyRequest) => boolean {
  const routes: { url: string; config?: { port?: 'admin' | 'both' } }[] = []
  /** By URL, so that all methods of a path belong to the same port. */
  const portsByUrl = new Map<string, 'admin' | 'both'>()
  app.addHook('onRoute', (route) => void routes.push(route))
  app.addHook('onReady', async () => {
    // The config is complete only now: hooks of inner scopes change it after the hook above has run.
    for (const { url, config } of routes.splice(0)) if (config?.port) portsByUrl.set(url, config.port)
  })
  const isAtPort = (url: string, request: FastifyRequest) => {
    const routePort = portsByUrl.get(url) ?? 'service'
    return routePort === 'both' || routePort === (isAdminSocket(request.raw.socket) ? 'admin' : 'service')
  }
  app.addHook('onRequest', (request, reply, done) => {
    const { url } = request.routeOptions
    if (url === undefined || isAtPort(url, request)) return done()
    reply.callNotFound()
  })
  return ({ url }, request) => isAtPort(url, request)
}
