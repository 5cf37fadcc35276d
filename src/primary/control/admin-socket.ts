import type { IncomingMessage, ServerResponse } from 'node:http'
import { userInfo } from 'node:os'
import { refusal } from '../../admin/answer.ts'
import { CommandError } from '../../admin/command-error.ts'
import { isTooDeep } from '../../common/json-depth.ts'
import { http } from '../../common/node-http.ts'
import type { Caller, CommandAnswer } from '../../ipc/messages.ts'
import type { AdminEventStream } from './admin-event-stream.ts'
import type { CommandRunner } from './command-runner.ts'

/** Longest body of a command, in bytes. */
const BODY_LIMIT = 64 * 1024
/** What a watcher does not read is kept up to so much, in bytes. */
const UNREAD_LIMIT = 1024 * 1024

/**
 * `POST /commands/<name>`, and `GET /events` as JSON lines, on a Unix socket that only this user can open. It works when
 * every worker is dead, and while it answers, the folder it is in belongs to this primary.
 */
export async function openAdminSocket(path: string, admin: CommandRunner, feed: AdminEventStream): Promise<() => void> {
  // Who connects is not told apart: the mode of the socket lets in its owner, and root.
  const { uid, username } = userInfo()
  const caller: Caller = { transport: 'socket', who: `uid ${uid} (${username})` }
  const server = http.createServer((request, response) => {
    if (request.method === 'GET' && request.url === '/events') stream(response, feed)
    else void answer(request, admin, caller).then((told) => send(response, told))
  })
  // The mode is set before anybody can connect.
  const mask = process.umask(0o177)
  try {
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(path, resolve))
  } finally {
    process.umask(mask)
  }
  server.unref()
  return () => void server.close()
}

async function answer(request: IncomingMessage, admin: CommandRunner, caller: Caller): Promise<CommandAnswer> {
  try {
    const name = /^\/commands\/([a-z-]+)$/.exec(request.url ?? '')?.[1]
    if (name !== undefined && request.method !== 'POST') return refusal(405, 'commands are sent with POST')
    return await admin.run(name ?? '', await readArguments(request), caller)
  } catch (error) {
    const known = error instanceof CommandError ? error.statusCode : error instanceof SyntaxError ? 400 : 500
    return refusal(known, (error as Error).message)
  }
}

function send(response: ServerResponse, { statusCode, body }: CommandAnswer): void {
  const headers = { 'content-type': 'application/json; charset=utf-8', ...(statusCode === 405 && { allow: 'POST' }) }
  response.writeHead(statusCode, headers).end(`${JSON.stringify(body)}\n`)
}

function stream(response: ServerResponse, feed: AdminEventStream): void {
  response.writeHead(200, { 'content-type': 'application/x-ndjson' })
  response.on('close', () => feed.remove(response))
  feed.add(response, async (event) => {
    if (response.writableLength > UNREAD_LIMIT) response.destroy()
    else await new Promise((resolve) => response.write(`${JSON.stringify(event)}\n`, resolve))
  })
}

async function readArguments(request: IncomingMessage): Promise<object> {
  let text = ''
  for await (const chunk of request.setEncoding('utf8')) {
    text += chunk
    if (text.length > BODY_LIMIT) throw new CommandError('the arguments are too long', 413)
  }
  if (isTooDeep(text)) throw new CommandError('the arguments are nested too deep')
  return text === '' ? {} : (JSON.parse(text) as object)
}
