import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import type { Command } from '../../../admin/command.ts'
import { errorAnswer } from '../../../admin/command-error.ts'
import type { CommandRegistry } from '../../../admin/registry.ts'
import { notFound } from '../../../common/errors.ts'
import { array, object } from '../../../common/json-schema.ts'
import type { Config } from '../../../config/load.ts'
import type { AdminEvent, Caller, CommandAnswer } from '../../../ipc/messages.ts'
import type { RedisConnection } from '../../../state/redis/redis-connection.ts'
import { Attempts } from '../../../state/shared/attempts.ts'
import { openEventStream } from '../../pages/event-stream.ts'
import { renderDocsPage } from '../openapi.ts'
import { Tokens } from '../security/tokens.ts'
import { requireToken } from './admin-guard.ts'
import { onlyAtAdminPort } from './admin-port.ts'

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
}

/** The names of files that commands write. */
const FILE_NAME = /^(profile|heap|report)-[\w-]+\.(cpuprofile|heapsnapshot|json)$/
/** A watcher with more unread bytes than this is disconnected. */
const MAX_UNREAD_BYTES = 1024 * 1024

const READABLE = { level: 'read', quiet: true, bypassLimits: true } as const

/**
 * `/admin/…`: all commands over HTTP, the stream of events, and the files that commands write. Every route needs a bearer
 * token. Without configured tokens none of these paths exists.
 */
export const admin: FastifyPluginAsync<AdminOptions> = async (app, options) => {
  const { config, redis, primary } = options
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
  addCommandRoutes(app, commands, run)
  addStatusRoute(app, commands, run)
  const eventsSchema = { summary: 'Server-sent events: status every second, journal and audit', tags: ['admin'] }
  app.get('/admin/events', { config: READABLE, schema: eventsSchema }, (_request, reply) =>
    streamEvents(app, reply, primary)
  )
  addFileRoute(app, config.runDir)
  const docsSchema = { summary: 'The OpenAPI document as a page', tags: ['docs'] }
  app.get('/docs', { config: READABLE, schema: docsSchema }, async (_request, reply) =>
    reply.type('text/html; charset=utf-8').send(renderDocsPage(await app.openapi()))
  )
}

type RunCommand = (name: string, args: unknown, request: FastifyRequest) => Promise<CommandAnswer>

function addCommandRoutes(app: FastifyInstance, { commands }: CommandRegistry, run: RunCommand): void {
  for (const command of commands) {
    const { name, level } = command
    const config = { level, bypassLimits: true } as const
    app.post(`/admin/commands/${name}`, { config, schema: schemaOf(command) }, async (request, reply) => {
      const { statusCode, body } = await run(name, request.body === undefined ? {} : request.body, request)
      return reply.code(statusCode).send(body)
    })
  }
  // The primary refuses unknown names, with the message that all transports have.
  const config = { level: 'read', bypassLimits: true } as const
  app.all('/admin/commands/*', { config, schema: { hide: true } }, async (request, reply) => {
    const name = String((request.params as { '*': string })['*'])
    const { statusCode, body } = await run(name, {}, request)
    return reply.code(statusCode).send(body)
  })
}

function addStatusRoute(app: FastifyInstance, commands: CommandRegistry, run: RunCommand): void {
  const schema = { summary: commands.get('status').summary, tags: ['admin'] }
  app.get('/admin/status', { config: READABLE, schema }, async (request, reply) => {
    const { statusCode, body } = await run('status', {}, request)
    const answer = 'result' in body ? { ...(body.result as object), missing: body.missing } : body
    return reply.code(statusCode).send(answer)
  })
}

function addFileRoute(app: FastifyInstance, folder: string): void {
  const config = { level: 'control', bypassLimits: true } as const
  const schema = { summary: 'A file that profile, heap or report has written', tags: ['admin'] }
  app.get<{ Params: { file: string } }>('/admin/files/:file', { config, schema }, async (request, reply) => {
    const { file } = request.params
    const path = join(folder, file)
    const found = FILE_NAME.test(file) && (await stat(path).catch(() => undefined))
    if (!found) throw notFound(request.method, request.url)
    void reply.header('content-length', found.size).header('content-disposition', `attachment; filename="${file}"`)
    return reply.type('application/json').send(createReadStream(path))
  })
}

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
