import type { IncomingMessage, Server } from 'node:http'
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { HttpError } from '../../common/errors.ts'
import { http } from '../../common/node-http.ts'
import type { AppOptions } from '../../http/app-options.ts'
import { createSecurityHeaders } from '../../http/plugins/security/security-headers.ts'
import { setStaticHeaders } from '../../http/plugins/security/static-headers.ts'
import { forwardUpgrades } from '../protocols/upgrades.ts'
import type { MountedApp } from './mounted-app.ts'

/** Requests with these methods never reach an app. */
const NOT_ROUTED = new Set(['CONNECT', 'TRACE'])
/** These change what a page may do or what is cached, which a mounted app decides itself. */
const LEFT_TO_APP = [
  'cache-control',
  'content-security-policy',
  'cross-origin-opener-policy',
  'cross-origin-resource-policy',
  'x-frame-options'
]
const mountedHeaders = createSecurityHeaders(false, LEFT_TO_APP)

/**
 * Makes a plugin of an app that gets requests as Node made them. One route takes every path that the service does not have.
 * The log, metrics, limits and the admin plane work around it; sessions, the check for pages of other sites and what is about
 * pages are left to the app.
 */
export function mount(app: MountedApp, options: AppOptions): FastifyPluginAsync {
  return async (scope) => {
    const hasFewerHeaders = options.securityHeaders === undefined
    scope.route({
      method: addAllMethods(scope),
      url: '/*',
      exposeHeadRoute: false,
      config: { session: false, ...(!options.crossSiteCheck && { crossSite: true }) },
      schema: { hide: true } as object,
      // Before the body is parsed. The hook never continues: the app answers.
      onRequest: (request, reply) => {
        restoreUrl(request.raw)
        if (hasFewerHeaders) setStaticHeaders(reply, mountedHeaders(request.protocol === 'https'))
        give(app.server, request, reply)
      },
      handler: () => {}
    })
    forwardUpgrades(scope.server as Server, app.server)
    // The app may end its streams then.
    scope.draining.addEventListener('abort', () => void app.server.emit('draining'))
    scope.addHook('onListen', () => app.onListen())
    scope.addHook('onClose', () => app.close())
  }
}

/**
 * Fastify's `rewriteUrl` for a mounted app: lets a path with invalid percent-encoding reach the app, which Fastify would refuse
 * before it looks for a route.
 */
export function routableUrl({ url = '/' }: IncomingMessage): string {
  if (!url.includes('%')) return url
  try {
    decodeURI(url.split('?', 1)[0]!)
    return url
  } catch {
    return '/'
  }
}

/** Undoes {@link routableUrl}. Fastify keeps the URL that was received in `originalUrl`. */
function restoreUrl(raw: IncomingMessage & { originalUrl?: string }): void {
  if (raw.originalUrl !== undefined) raw.url = raw.originalUrl
}

/** @returns all methods that Node's parser knows and routes may have */
function addAllMethods(scope: FastifyInstance): string[] {
  const supported = new Set<string>(scope.supportedMethods)
  const methods = http.METHODS.filter((name) => !NOT_ROUTED.has(name))
  for (const name of methods) if (!supported.has(name)) scope.addHttpMethod(name, { hasBody: true })
  return methods
}

/** Gives a request to the listeners of a server, as `server.emit` would, but does not let their errors end the process. */
function give(server: Server, request: FastifyRequest, reply: FastifyReply): void {
  const { raw } = reply
  reply.hijack()
  const set = reply.getHeaders()
  for (const name in set) raw.setHeader(name, set[name] as string)
  const fail = (error: unknown) => answerFailure(error, request, reply)
  for (const listener of server.listeners('request')) {
    try {
      const result: unknown = listener.call(server, request.raw, raw)
      if (result instanceof Promise) result.catch(fail)
    } catch (error) {
      fail(error)
    }
  }
}

function answerFailure(err: unknown, request: FastifyRequest, { raw }: FastifyReply): void {
  request.log.error({ err }, 'handler failed')
  if (raw.headersSent) {
    raw.destroy()
    return
  }
  for (const name of raw.getHeaderNames()) if (name !== 'x-request-id') raw.removeHeader(name)
  const { statusCode, code, message } = new HttpError(500, 'INTERNAL', 'Internal error')
  const body = JSON.stringify({ statusCode, code, error: http.STATUS_CODES[statusCode], message })
  const type = { 'content-type': 'application/json; charset=utf-8', 'content-length': Buffer.byteLength(body) }
  raw.writeHead(statusCode, type).end(body)
}
