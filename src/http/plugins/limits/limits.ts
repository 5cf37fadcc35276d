import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { HttpError } from '../../../common/errors.ts'
import type { Config } from '../../../config/load.ts'
import type { Forwarded } from '../../../net/forwarded-headers.ts'
import type { AppOptions } from '../../app-options.ts'
import { sendFinalAnswer } from '../../final-answer.ts'
import { resumptionOf } from '../../transferable.ts'
import { createSecurityHeaders } from '../security/security-headers.ts'
import { setStaticHeaders } from '../security/static-headers.ts'
import { refuseDeepJson } from './deep-json.ts'
import { handleExpectations } from './expectations.ts'
import { OverloadDetector } from './overload.ts'
import { checkForwarded, checkRequest, METHODS, preferTargetHost } from './request-rules.ts'

interface LimitsOptions {
  config: Pick<Config, 'http'>
  /** Returns what trusted proxies say about a request; undefined when no proxy is trusted. */
  forwardedOf: ((raw: IncomingMessage) => Forwarded) | undefined
  options: AppOptions
}

/**
 * The first checks of every request: sets the security headers, enforces the rules of HTTP, and refuses requests while the
 * event loop is overloaded.
 */
export const limits = fp<LimitsOptions>(async (app, { config, forwardedOf, options }) => {
  const { maxLoopDelayMs } = config.http
  const overload = maxLoopDelayMs > 0 ? new OverloadDetector(maxLoopDelayMs) : undefined
  app.addHook('onClose', async () => overload?.stop())
  const headersOf = options.securityHeaders === false ? undefined : createSecurityHeaders(options.contentSecurityPolicy)
  let supported: Set<string> | undefined
  const isSupported = (method: string) => {
    // At the first request: the app may add methods.
    supported ??= new Set(app.supportedMethods)
    return supported.has(method)
  }

  app.addHook('onRequest', (request, reply, done) => {
    if (headersOf) setStaticHeaders(reply, headersOf(request.protocol === 'https'))
    const refusal = checkRequest(request.raw, isSupported) ?? (forwardedOf && checkForwarded(forwardedOf(request.raw)))
    if (refusal) {
      void reply.header('connection', 'close')
      return done(refusal)
    }
    preferTargetHost(request.raw)
    if (overload?.isOverloaded && !mayPass(request)) return done(overloaded())
    if (request.raw.url !== '*') return done()
    void reply.header('allow', METHODS.join(', ')).code(204).send()
  })
  handleSpecialRequests(app)
  if (options.jsonDepthCheck !== false) refuseDeepJson(app)
})

/** Whether a request is answered in an overload. One that came from another worker was accepted already. */
const mayPass = (request: FastifyRequest) =>
  request.routeOptions.config.bypassLimits === true || resumptionOf(request.raw) !== undefined

const overloaded = () => new HttpError(503, 'OVERLOADED', 'Server overloaded', { retryAfter: 1 })

/** Handles CONNECT and `Expect`, which Node answers without a body and our headers, or not at all. */
function handleSpecialRequests(app: FastifyInstance): void {
  const server = app.server as Server
  server.on('connect', (_request: IncomingMessage, socket: Duplex) => {
    const allow = METHODS.join(', ')
    sendFinalAnswer(socket, 405, 'METHOD_NOT_ALLOWED', 'This server is not a proxy', { allow })
  })
  handleExpectations(server)
}
