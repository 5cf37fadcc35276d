import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Level } from '../../../admin/command.ts'
import { forbidden, type HttpError, unauthorized } from '../../../common/errors.ts'
import type { Caller } from '../../../ipc/messages.ts'
import type { Attempts } from '../../../state/shared/attempts.ts'
import { networkOf } from '../limits/network.ts'
import { isOwnSite } from '../security/same-origin.ts'
import { bearerOf, fingerprint, type Tokens } from '../security/tokens.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The level that a token needs for this route of the admin plane. */
    level?: Level
  }
  interface FastifyRequest {
    /** The operator whose token the request carries; set on routes of the admin plane. */
    operator: Caller
  }
}

/** Requires a bearer token on every route of the scope. Wrong tokens are counted, refusals are logged. */
export function requireToken(scope: FastifyInstance, tokens: Tokens, attempts: Attempts): void {
  scope.decorateRequest('operator')
  scope.addHook('onRequest', async (request, reply) => {
    void reply.header('cache-control', 'no-store')
    // Keeps pages of other sites from giving commands through the browser of an operator.
    if (!isOwnSite(request)) throw forbidden('Requests from other sites are refused')
    const token = bearerOf(request)
    const level = tokens.levelOf(token)
    try {
      await authorize(request, reply, { token, level, attempts })
    } catch (error) {
      logRefusal(scope, request, { token, level, error: error as HttpError })
      throw error
    }
    request.operator = {
      transport: 'http',
      who: `token ${fingerprint(token as string)}`,
      from: request.ip,
      requestId: request.id
    }
  })
}

interface Credentials {
  token: string | undefined
  /** Undefined when the token is not valid. */
  level: Level | undefined
}

/** @throws HttpError 401, 403, 429 after too many wrong tokens, 503 when Redis cannot count them */
async function authorize(
  request: FastifyRequest,
  reply: FastifyReply,
  { token, level, attempts }: Credentials & { attempts: Attempts }
): Promise<void> {
  if (level === undefined) {
    void reply.header('www-authenticate', 'Bearer')
    if (token !== undefined) await attempts.count(networkOf(request.ip))
    throw unauthorized()
  }
  void reply.header('x-admin-access', level)
  if (request.routeOptions.config.level === 'control' && level !== 'control') {
    throw forbidden('A control token is needed')
  }
}

function logRefusal(
  scope: FastifyInstance,
  request: FastifyRequest,
  { token, level, error }: Credentials & { error: HttpError }
): void {
  const { statusCode, code } = error
  const url = request.url.split('?', 1)[0]
  const from = { from: request.ip, method: request.method, url, requestId: request.id }
  scope.log.warn({ who: describeToken(token, level), ...from, statusCode, code }, 'admin refused')
}

function describeToken(token: string | undefined, level: Level | undefined): string {
  if (token === undefined) return 'no token'
  if (level === undefined) return 'a wrong token'
  return `token ${fingerprint(token)}`
}
