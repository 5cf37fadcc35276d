import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { notFound } from '../../common/errors.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Where the route is found when ADMIN_PORT is set: at ADMIN_PORT only, or at both ports. Default: at PORT only. */
    port?: 'admin' | 'both'
  }
}

/** Gives every route of a scope to ADMIN_PORT. To be called before the routes are added. */
export function onlyAtAdminPort(scope: FastifyInstance): void {
  scope.addHook('onRoute', (route) => {
    route.config = { ...route.config, port: 'admin' }
  })
}

/**
 * Answers 404 for routes of the other port. To be called before the routes are added.
 * @param isAdmin whether a connection came in at ADMIN_PORT
 */
export function separatePorts(app: FastifyInstance, isAdmin: (socket: Socket) => boolean): void {
  const routes: { url: string; config?: { port?: 'admin' | 'both' } }[] = []
  /** By URL: the routes that answer 405 for other methods belong to the same port. */
  const ports = new Map<string, 'admin' | 'both'>()
  app.addHook('onRoute', (route) => void routes.push(route))
  app.addHook('onReady', async () => {
    // Only now: hooks of inner scopes change the config after the one above has seen it.
    for (const { url, config } of routes.splice(0)) if (config?.port) ports.set(url, config.port)
  })
  app.addHook('onRequest', (request, _reply, done) => {
    const { url } = request.routeOptions
    if (url === undefined) return done()
    const port = ports.get(url) ?? 'service'
    const here = isAdmin(request.raw.socket) ? 'admin' : 'service'
    if (port === 'both' || port === here) return done()
    done(notFound(request.method, request.url.split('?', 1)[0] as string))
  })
}
