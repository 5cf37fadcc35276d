import type { Socket } from 'node:net'
import type {
  FastifyInstance,
  FastifyPluginAsync,
  FastifyReply,
  FastifyRequest,
  RouteHandlerMethod,
  RouteOptions
} from 'fastify'
import type { Command } from '../../../admin/command.ts'
import { errorAnswer } from '../../../admin/command-error.ts'
import type { CommandRegistry } from '../../../admin/registry.ts'
import { array, object } from '../../../common/json-schema.ts'
import type { Config } from '../../../config/load.ts'
import type { AdminEvent, Caller, CommandAnswer } from '../../../ipc/messages.ts'
import type { RedisConnection } from '../../../state/redis/redis-connection.ts'
import { Attempts } from '../../../state/shared/attempts.ts'
import { openEventStream } from '../../pages/event-stream.ts'
import type { ServiceRoutes } from '../../routing/service-routes.ts'
import { type DescribeRoutes, renderDocsPage } from '../openapi.ts'
import { OWN_PAGE_HEADERS } from '../security/security-headers.ts'
import { Tokens } from '../security/tokens.ts'
import { requireToken } from './admin-guard.ts'
import { onlyAtAdminPort } from './admin-port.ts'
import { addFileRoutes } from './diagnostic-files.ts'

/** The part of the primary that operators reach over HTTP. */
export interface PrimaryClient {
  /**
   * Runs a command and resolves when it is done.
   * @param socket the connection of the operator, which stays open until the command is answered
   * @throws HttpError 503 when the primary does not answer, or when too many commands are running
   */
  command(name: string, args: object, caller: Caller, socket: Socket): Promise<CommandAnswer>
  /**
   * Watches what happens in the service. The first event is a status.
   * @returns stops watching
   */
  watch(watcher: (event: AdminEvent) => void): () => void
}

export interface AdminOptions {
  config: Pick<Config, 'admin' | 'runDir'>
  redis: RedisConnection
  primary: PrimaryClient
  /** Undefined: all commands. */
  commands?: CommandRegistry
  routes: ServiceRoutes
  describe: DescribeRoutes
}

/** A watcher with more unread bytes than this is disconnected. */
const MAX_UNREAD_BYTES = 1024 * 1024

const READABLE = { level: 'read', quiet: true, bypassLimits: true } as const

/**
 * `/admin/…`: all commands over HTTP, the stream of events, and the files that commands write. Every route needs a bearer
 * token. Without configured tokens none of these paths exists.
 */
export const admin: FastifyPluginAsync<AdminOptions> = async (app, options) => {
  const { config, redis, primary, routes } = options
  const tokens = new Tokens({ control: config.admin.controlTokens, read: config.admin.readTokens })
  if (!tokens.any) return
  // Loading all commands takes 15 ms of CPU (Node 20): workers without an admin plane save it.
  const commands = options.commands ?? (await import('../../../admin/registry.ts')).registry
  onlyAtAdminPort(app)
  requireToken(app, tokens, new Attempts(redis, 'admin'))
  // The primary checks the arguments, with the same messages for every transport. The schemas are documentation only.
  app.setValidatorCompiler(() => () => true)
  app.setSerializerCompiler(() => (data) => JSON.stringify(data instanceof Error ? refusalFrom(data) : data))

  const run: RunCommand = async (name, args, request) => {
    if (typeof args !== 'object' || args === null) return errorAnswer(400, 'the arguments must be a JSON object')
    return primary.command(name, args, request.operator, request.raw.socket)
  }
  addDocsRoute(app, options)
  const prefix = routes.pathOf('admin')
  if (prefix === false) return
  /** Adds a route, unless the app has one there. */
  const addRoute: AddRoute = (route) => {
    const url = `${prefix}/${route.url}`
    if (routes.claimUrl(url)) app.route({ ...route, url })
  }
  addCommandRoutes(addRoute, commands, run)
  addStatusRoute(addRoute, commands, run)
  const eventsSchema = { summary: 'Server-sent events: status every second, journal and audit', tags: ['admin'] }
  addRoute({
    method: 'GET',
    url: 'events',
    config: { ...READABLE, resumable: true },
    schema: eventsSchema,
    handler: (_request, reply) => streamEvents(app, reply, primary)
  })
  addFileRoutes(addRoute, config.runDir)
}

function addDocsRoute(app: FastifyInstance, { routes, describe }: AdminOptions): void {
  const url = routes.claim('docs')
  const schema = { summary: 'The OpenAPI document as a page', tags: ['docs'] }
  if (!url) return
  app.get(url, { config: READABLE, schema }, async (_request, reply) =>
    reply
      .headers(OWN_PAGE_HEADERS)
      .type('text/html; charset=utf-8')
      .send(renderDocsPage(await describe(), routes.pathOf('openapi')))
  )
}

/** @param route its URL is relative to the prefix of the admin plane */
type AddRoute = (route: RouteOptions) => void

type RunCommand = (name: string, args: unknown, request: FastifyRequest) => Promise<CommandAnswer>

function addCommandRoutes(addRoute: AddRoute, { commands }: CommandRegistry, run: RunCommand): void {
  for (const command of commands) {
    const { name, level } = command
    const config = { level, bypassLimits: true } as const
    const handler: RouteHandlerMethod = async (request, reply) => {
      const { statusCode, body } = await run(name, request.body === undefined ? {} : request.body, request)
      return reply.code(statusCode).send(body)
    }
    addRoute({ method: 'POST', url: `commands/${name}`, config, schema: schemaOf(command), handler })
  }
  // The primary refuses unknown names, with the message that all transports have.
  const config = { level: 'read', bypassLimits: true } as const
  const handler: RouteHandlerMethod = async (request, reply) => {
    const name = String((request.params as { '*': string })['*'])
    const { statusCode, body } = await run(name, {}, request)
    return reply.code(statusCode).send(body)
  }
  addRoute({ method: 'POST', url: 'commands/*', config, schema: { hide: true }, handler })
}

function addStatusRoute(addRoute: AddRoute, commands: CommandRegistry, run: RunCommand): void {
  const { summary, args } = commands.get('status')
  const schema = { summary, tags: ['admin'], querystring: args }
  const handler: RouteHandlerMethod = async (request, reply) => {
    const { statusCode, body } = await run('status', statusArguments(request.query as object), request)
    const answer = 'result' in body ? { ...(body.result as object), missing: body.missing } : body
    return reply.code(statusCode).send(answer)
  }
  addRoute({ method: 'GET', url: 'status', config: READABLE, schema, handler })
}

/** The arguments that a query stands for, such as `?allHosts=true`. */
const statusArguments = (query: object) =>
  Object.fromEntries(Object.entries(query).map(([name, value]) => [name, value === 'true' ? true : value]))

/** Sends events as they happen. A client that does not read misses status events, and is disconnected in the end. */
function streamEvents(app: FastifyInstance, reply: FastifyReply, primary: PrimaryClient): void {
  const response = openEventStream(app, reply)
  if (!response) return
  const stopWatching = primary.watch(({ event, data }) => {
    if (event === 'status' && response.writableNeedDrain) return
    if (response.writableLength > MAX_UNREAD_BYTES) response.destroy()
    else response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
  })
  response.on('close', stopWatching)
}

const refusalFrom = ({ statusCode = 500, message, code }: Error & { statusCode?: number; code?: string }) =>
  errorAnswer(statusCode, message, code).body

const [TEXT, INTEGER] = [{ type: 'string' }, { type: 'integer' }] as const
const WORKER = { host: TEXT, slot: INTEGER, pid: INTEGER }

/** The schema of a command for the OpenAPI document. It checks nothing and removes nothing. */
function schemaOf({ summary, args, result, level, example }: Command) {
  const answer = object({
    ok: { type: 'boolean' },
    result: { ...result, examples: [example.result] },
    acks: array(object(WORKER)),
    missing: array(object({ ...WORKER, why: TEXT }))
  })
  const refused = object(
    { statusCode: INTEGER, code: TEXT, error: TEXT, message: TEXT },
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
