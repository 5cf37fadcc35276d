import type { IncomingMessage, ServerResponse } from 'node:http'
import { userInfo } from 'node:os'
import { CommandError, errorAnswer } from '../../admin/command-error.ts'
import type { CommandRunner } from '../../admin/command-runner.ts'
import { isTooDeep } from '../../common/json-depth.ts'
import { http } from '../../common/node-http.ts'
import type { Caller, CommandAnswer } from '../../ipc/messages.ts'
import type { AdminEventStream } from './admin-event-stream.ts'

/** The longest body of a command, in bytes. */
const MAX_BODY_BYTES = 64 * 1024
/** A watcher that leaves more than this unread is disconnected; in bytes. */
const MAX_UNREAD_BYTES = 1024 * 1024

/**
 * Serves `POST /commands/<name>`, and `GET /events` as JSON lines, on a Unix socket that only its owner can open. It works
 * when every worker is dead. While it answers, RUN_DIR belongs to this primary.
 * @returns a function that closes the socket
 */
export async function openAdminSocket(
  path: string,
  runner: CommandRunner,
  events: AdminEventStream
): Promise<() => void> {
  // Node does not tell which user connects. The mode of the socket admits its owner and root only.
  const caller: Caller = { transport: 'socket', who: describeUser() }
  const server = http.createServer((request, response) => {
    if (request.method === 'GET' && request.url === '/events') streamEvents(response, events)
    else void runCommand(request, runner, caller).then((answer) => sendAnswer(response, answer))
  })
  // The mode must be right before the first client can connect.
  const mask = process.umask(0o177)
  try {
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(path, resolve))
  } finally {
    process.umask(mask)
  }
  server.unref()
  return () => void server.close()
}

/** The user of this process. A user of a container or of systemd's DynamicUser may have no name. */
function describeUser(): string {
  try {
    const { uid, username } = userInfo()
    return `uid ${uid} (${username})`
  } catch {
    return `uid ${process.getuid?.()}`
  }
}

async function runCommand(request: IncomingMessage, runner: CommandRunner, caller: Caller): Promise<CommandAnswer> {
  try {
    const name = /^\/commands\/([a-z-]+)$/.exec(request.url ?? '')?.[1]
    if (name !== undefined && request.method !== 'POST') return errorAnswer(405, 'commands are sent with POST')
    return await runner.run(name ?? '', await readArguments(request), caller)
  } catch (error) {
    return errorAnswer(statusCodeOf(error), (error as Error).message)
  }
}

/** @throws CommandError 400, 413; SyntaxError when the body is no JSON */
async function readArguments(request: IncomingMessage): Promise<object> {
  let text = ''
  for await (const chunk of request.setEncoding('utf8')) {
    text += chunk
    if (text.length > MAX_BODY_BYTES) throw new CommandError('the arguments are too long', 413)
  }
  if (isTooDeep(text)) throw new CommandError('the arguments are nested too deep')
  return text === '' ? {} : (JSON.parse(text) as object)
}

function statusCodeOf(error: unknown): number {
  if (error instanceof CommandError) return error.statusCode
  return error instanceof SyntaxError ? 400 : 500
}

function sendAnswer(response: ServerResponse, { statusCode, body }: CommandAnswer): void {
  const headers = { 'content-type': 'application/json; charset=utf-8', ...(statusCode === 405 && { allow: 'POST' }) }
  response.writeHead(statusCode, headers).end(`${JSON.stringify(body)}\n`)
}

function streamEvents(response: ServerResponse, events: AdminEventStream): void {
  response.writeHead(200, { 'content-type': 'application/x-ndjson' })
  response.on('close', () => events.remove(response))
  events.add(response, async (event) => {
    if (response.writableLength > MAX_UNREAD_BYTES) response.destroy()
    else await new Promise((resolve) => response.write(`${JSON.stringify(event)}\n`, resolve))
  })
}
