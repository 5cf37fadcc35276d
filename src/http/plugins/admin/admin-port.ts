import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { notFound } from '../../../common/errors.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** When ADMIN_PORT is set: the route exists at ADMIN_PORT only, or at both ports. Undefined: at PORT only. */
    port?: 'admin' | 'both'
  }
}

/** Moves every route of a scope to ADMIN_PORT. Call it before the routes are added. */
export function onlyAtAdminPort(scope: FastifyInstance): void {
  scope.addHook('onRoute', (route) => {
    route.config = { ...route.config, port: 'admin' }
  })
}

/**
 * Answers 404 at the port to which a route does not belong. Call it before the routes are added.
 * @param isAdminSocket whether a connection was accepted at ADMIN_PORT
 */
export function separatePorts(app: FastifyInstance, isAdminSocket: (socket: Socket) => boolean): void {
  const routes: { url: string; config?: { port?: 'admin' | 'both' } }[] = []
  /** By URL, so that the routes that answer 405 for other methods belong to the same port. */
  const portsByUrl = new Map<string, 'admin' | 'both'>()
  app.addHook('onRoute', (route) => void routes.push(route))
  app.addHook('onReady', async () => {
    // The config is complete only now: hooks of inner scopes change it after the hook above has run.
    for (const { url, config } of routes.splice(0)) if (config?.port) portsByUrl.set(url, config.port)
  })
  app.addHook('onRequest', (request, _reply, done) => {
    const { url } = request.routeOptions
    if (url === undefined) return done()
    const routePort = portsByUrl.get(url) ?? 'service'
    const requestPort = isAdminSocket(request.raw.socket) ? 'admin' : 'service'
    if (routePort === 'both' || routePort === requestPort) return done()
    done(notFound(request.method, request.url.split('?', 1)[0] as string))
  })
}
