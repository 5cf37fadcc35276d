import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import type { Command, Level } from '../../admin/command.ts'
import { errorAnswer } from '../../admin/command-error.ts'
import { type CommandRegistry, registry } from '../../admin/registry.ts'
import { forbidden, type HttpError, notFound, unauthorized } from '../../common/errors.ts'
import { array, object } from '../../common/json-schema.ts'
import type { Config } from '../../config/load.ts'
import type { AdminEvent, Caller, CommandAnswer } from '../../ipc/messages.ts'
import type { RedisConnection } from '../../state/redis/redis-connection.ts'
import { Attempts } from '../../state/shared/attempts.ts'
import { openEventStream } from '../pages/event-stream.ts'
import { onlyAtAdminPort } from './admin-port.ts'
import { networkOf } from './limits/network.ts'
import { docsPage } from './openapi.ts'
import { isOwnSite } from './security/same-origin.ts'
import { bearerOf, fingerprint, Tokens } from './security/tokens.ts'

/** What runs the workers, as much of it as operators reach over HTTP. */
export interface PrimaryClient {
  /** Answered when it is done. @param socket the client's, who waits @throws HttpError 503 */
  command(name: string, args: object, caller: Caller, socket: Socket): Promise<CommandAnswer>
  /** @returns ends it */
  watch(watcher: (event: AdminEvent) => void): () => void
}

export interface AdminOptions {
  config: Pick<Config, 'admin' | 'runDir'>
  redis: RedisConnection
  primary: PrimaryClient
  /** The commands; default: all of them. */
  commands?: CommandRegistry
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What a token must be good for. */
    level?: Level
  }
  interface FastifyRequest {
    /** Who gave the token. */
    operator: Caller
  }
}

/** Files that the commands profile, heap and report write. */
const FILE = /^(profile|heap|report)-[\w-]+\.(cpuprofile|heapsnapshot|json)$/
/** What a watcher does not read is kept up to so much, in bytes. */
const UNREAD_LIMIT = 1024 * 1024

/** `/admin/`: what the command line can do, with a bearer token; `/docs` tells of it. Where no token is set there is no such path. */
export const admin: FastifyPluginAsync<AdminOptions> = async (app, { config, redis, primary, commands = registry }) => {
  const tokens = new Tokens({ control: config.admin.controlTokens, read: config.admin.readTokens })
  if (!tokens.any) return
  onlyAtAdminPort(app)
  app.decorateRequest('operator')
  app.addHook('onRequest', guard(app, tokens, new Attempts(redis, 'admin')))
  // The primary checks the arguments, for all doors in the same words; the schemas are what is told of them.
  app.setValidatorCompiler(() => () => true)
  app.setSerializerCompiler(() => (data) => JSON.stringify(data instanceof Error ? refusalOf(data) : data))

  const run = async (name: string, args: unknown, request: FastifyRequest) => {
    if (typeof args !== 'object' || args === null) return errorAnswer(400, 'the arguments must be a JSON object')
    return primary.command(name, args, request.operator, request.raw.socket)
  }
  for (const command of commands.commands) {
    const { name, level } = command
    app.post(
      `/admin/commands/${name}`,
      { config: { level, bypassLimits: true }, schema: schemaOf(command) },
      async (request, reply) => {
        const { statusCode, body } = await run(name, request.body === undefined ? {} : request.body, request)
        return reply.code(statusCode).send(body)
      }
    )
  }
  app.all(
    '/admin/commands/*',
    { config: { level: 'read', bypassLimits: true }, schema: { hide: true } },
    async (request, reply) => {
      const { statusCode, body } = await run(String((request.params as { '*': string })['*']), {}, request)
      return reply.code(statusCode).send(body)
    }
  )
  const readable = { config: { level: 'read', quiet: true, bypassLimits: true } as const }
  app.get(
    '/admin/status',
    { ...readable, schema: { summary: commands.get('status').summary, tags: ['admin'] } },
    async (request, reply) => {
      const { statusCode, body } = await run('status', {}, request)
      return reply
        .code(statusCode)
        .send('result' in body ? { ...(body.result as object), missing: body.missing } : body)
    }
  )
  app.get(
    '/admin/events',
    {
      ...readable,
      schema: { summary: 'server-sent events: status, once a second, journal and audit', tags: ['admin'] }
    },
    (_request, reply) => stream(app, reply, primary)
  )
  app.get<{ Params: { file: string } }>(
    '/admin/files/:file',
    {
      config: { level: 'control', bypassLimits: true },
      schema: { summary: 'a file that profile, heap or report wrote', tags: ['admin'] }
    },
    async (request, reply) => {
      const { file } = request.params
      const path = join(config.runDir, file)
      const found = FILE.test(file) && (await stat(path).catch(() => undefined))
      if (!found) throw notFound(request.method, request.url)
      void reply.header('content-length', found.size).header('content-disposition', `attachment; filename="${file}"`)
      return reply.type('application/json').send(createReadStream(path))
    }
  )

  app.get(
    '/docs',
    { ...readable, schema: { summary: 'this document as a page', tags: ['docs'] } },
    async (_request, reply) => reply.type('text/html; charset=utf-8').send(docsPage(await app.openapi()))
  )
}

function guard(app: FastifyInstance, tokens: Tokens, attempts: Attempts) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    void reply.header('cache-control', 'no-store')
    // A page of another site cannot give commands through the browser of somebody who may.
    if (!isOwnSite(request)) throw forbidden('Requests of other sites are refused')
    const token = bearerOf(request)
    const level = tokens.levelOf(token)
    try {
      if (level === undefined) {
        void reply.header('www-authenticate', 'Bearer')
        if (token !== undefined) await attempts.count(networkOf(request.ip))
        throw unauthorized()
      }
      void reply.header('x-admin-access', level)
      if (request.routeOptions.config.level === 'control' && level !== 'control') {
        throw forbidden('A control token is needed')
      }
    } catch (error) {
      const { statusCode, code } = error as HttpError
      const who =
        token === undefined ? 'no token' : level === undefined ? 'a wrong token' : `token ${fingerprint(token)}`
      app.log.warn(
        {
          who,
          from: request.ip,
          method: request.method,
          url: pathOf(request),
          requestId: request.id,
          statusCode,
          code
        },
        'admin refused'
      )
      throw error
    }
    request.operator = {
      transport: 'http',
      who: `token ${fingerprint(token as string)}`,
      from: request.ip,
      requestId: request.id
    }
  }
}

/** What happens, as it happens. A frame a second comes to nobody who does not read it. */
function stream(app: FastifyInstance, reply: FastifyReply, primary: PrimaryClient): void {
  const response = openEventStream(app, reply)
  if (!response) return
  const end = primary.watch(({ event, data }) => {
    if (event === 'status' && response.writableNeedDrain) return
    if (response.writableLength > UNREAD_LIMIT) response.destroy()
    else response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
  })
  response.on('close', end)
}

const refusalOf = ({ statusCode = 500, message, code }: Error & { statusCode?: number; code?: string }) =>
  errorAnswer(statusCode, message, code).body

/** For the documentation; nothing is checked or left out by it. */
function schemaOf({ summary, args, result, level, example }: Command) {
  const [text, integer] = [{ type: 'string' }, { type: 'integer' }] as const
  const who = { host: text, slot: integer, pid: integer }
  const acks = array(object(who))
  const missing = array(object({ ...who, why: text }))
  const answer = object({ ok: { type: 'boolean' }, result: { ...result, examples: [example.result] }, acks, missing })
  const refused = object(
    { statusCode: integer, code: text, error: text, message: text },
    { ok: { type: 'boolean', const: false } }
  )
  return {
    summary,
    description: `Needs a ${level} token.`,
    tags: ['admin'],
    security: [{ bearer: [] }],
    body: { ...args, examples: [example.args] },
    response: { 200: answer, '4xx': refused, '5xx': { anyOf: [answer, refused] } }
  }
}

const pathOf = (request: FastifyRequest) => request.url.split('?', 1)[0]
