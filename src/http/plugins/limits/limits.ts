import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { HttpError } from '../../../common/errors.ts'
import { isTooDeep, MAX_DEPTH } from '../../../common/json-depth.ts'
import type { Config } from '../../../config/load.ts'
import type { Forwarded } from '../../../net/forwarded-headers.ts'
import { endWith } from '../../error-handling.ts'
import { securityHeaders } from '../security/security-headers.ts'
import { setStaticHeaders } from '../security/static-headers.ts'
import { answerExpectations } from './expectations.ts'
import { Overload } from './overload.ts'
import { forwardedRefusal, METHODS, preferTarget, refusalOf } from './request-rules.ts'

interface LimitsOptions {
  config: Pick<Config, 'http'>
  /** What trusted proxies say of a request; undefined where no proxy is trusted. */
  forwardedOf: ((raw: IncomingMessage) => Forwarded) | undefined
}

/** What every request passes first: headers that every answer has, the rules of HTTP, and whether there is time for it. */
export const limits = fp<LimitsOptions>(async (app, { config, forwardedOf }) => {
  const { maxLoopDelayMs } = config.http
  const overload = maxLoopDelayMs > 0 ? new Overload(maxLoopDelayMs) : undefined
  app.addHook('onClose', async () => overload?.stop())
  const supported = new Set(app.supportedMethods)
  const isMethod = (method: string) => supported.has(method)

  app.addHook('onRequest', (request, reply, done) => {
    setStaticHeaders(reply, securityHeaders(request.protocol === 'https'))
    const refused = refusalOf(request.raw, isMethod) ?? (forwardedOf && forwardedRefusal(forwardedOf(request.raw)))
    if (refused) {
      void reply.header('connection', 'close')
      return done(refused)
    }
    preferTarget(request.raw)
    if (overload?.on && !request.routeOptions.config.bypassLimits) return done(overloaded())
    if (request.raw.url !== '*') return done()
    void reply.header('allow', METHODS.join(', ')).code(204).send()
  })
  refuseOddRequests(app)

  const parse = app.getDefaultJsonParser('error', 'error')
  app.addContentTypeParser<string>('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (isTooDeep(body)) done(new HttpError(400, 'TOO_DEEP', `JSON nested deeper than ${MAX_DEPTH} is not read`))
    else void parse(request, body, done)
  })
})

const overloaded = () =>
  new HttpError(503, 'OVERLOADED', 'There is more to do here than can be done', { retryAfter: 1 })

/** What node answers by itself, without a body or a header of ours, or not at all. */
function refuseOddRequests(app: FastifyInstance): void {
  const server = app.server as Server
  server.on('connect', (_request: IncomingMessage, socket: Duplex) => {
    endWith(socket, 405, 'METHOD_NOT_ALLOWED', 'This is no proxy', { allow: METHODS.join(', ') })
  })
  answerExpectations(server)
}
