import { once } from 'node:events'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { userInfo } from 'node:os'
import { CommandError, errorAnswer } from '../../admin/command-error.ts'
import type { CommandRunner } from '../../admin/command-runner.ts'
import { isTooDeep } from '../../common/json-depth.ts'
import { http } from '../../common/node-http.ts'
import type { Caller, CommandAnswer } from '../../ipc/messages.ts'
import {
  type BoundHandle,
  bindUnix,
  listeningHandleOf,
  pauseAccepting,
  resumeAccepting
} from '../../node-internals/listening-handle.ts'
import { socketFromHandle, takeHandle } from '../../node-internals/tcp-handle.ts'
import type { AdminEventStream } from './admin-event-stream.ts'

/** The longest body of a command, in bytes. */
const MAX_BODY_BYTES = 64 * 1024
/** A watcher that leaves more than this unread is disconnected; in bytes. */
const MAX_UNREAD_BYTES = 1024 * 1024

/**
 * Serves `POST /commands/<name>`, and `GET /events` as JSON lines, on a Unix socket that only its owner can open. It works
 * when every worker is dead. While it answers, RUN_DIR belongs to this primary.
 */
export class AdminSocket {
  readonly #path: string
  readonly #events: AdminEventStream
  readonly #server: Server
  /** The responses that stream events. */
  readonly #streams = new Set<ServerResponse>()
  /** Commands that are not answered yet. */
  readonly #commands = new Set<Promise<void>>()

  constructor(path: string, runner: CommandRunner, events: AdminEventStream) {
    this.#path = path
    this.#events = events
    // Node does not tell which user connects. The mode of the socket admits its owner and root only.
    const caller: Caller = { transport: 'socket', who: describeUser() }
    this.#server = http.createServer((request, response) => {
      if (request.method === 'GET' && request.url === '/events') this.#streamEvents(response)
      else this.#note(runCommand(request, runner, caller).then((answer) => sendAnswer(response, answer)))
    })
    this.#server.unref()
  }

  /** Starts to listen. @param inherited the listening socket of the primary that this one replaces */
  async open(inherited?: object): Promise<void> {
    // Listening on the descriptor keeps libuv from removing the file: another primary may listen on it later.
    const { fd } = (inherited as BoundHandle | undefined) ?? this.#bind()
    await new Promise<void>((resolve, reject) => this.#server.once('error', reject).listen({ fd }, resolve))
  }

  /** The listening socket, for a primary that replaces this one. */
  get handle(): object | null {
    return listeningHandleOf(this.#server)
  }

  /** Leaves further clients to the other primary that listens on the socket. */
  pause(): void {
    const handle = listeningHandleOf(this.#server)
    if (handle) pauseAccepting(handle)
  }

  resume(): void {
    const handle = listeningHandleOf(this.#server)
    if (handle) resumeAccepting(handle)
  }

  /** Gives the streams of events to another primary. @param send resolves when the handle was sent */
  async passStreams(send: (handle: object) => Promise<unknown>): Promise<void> {
    await Promise.all(
      [...this.#streams].map(async (response) => {
        const { socket } = response
        this.#events.remove(response)
        if (socket && socket.writableLength > 0) await once(socket, 'drain').catch(() => {})
        const handle = socket && takeHandle(socket)
        if (!handle) return
        await send(handle)
        handle.close()
      })
    )
  }

  /** Continues the stream of events of another primary, in the middle of its chunked response. */
  adoptStream(handle: object): void {
    const socket = socketFromHandle(handle)
    socket
      .on('error', () => {})
      .on('end', () => socket.destroy())
      .on('close', () => this.#events.remove(socket))
    socket.resume()
    this.#events.add(socket, async (event) => {
      const line = `${JSON.stringify(event)}\n`
      const chunk = `${Buffer.byteLength(line).toString(16)}\r\n${line}\r\n`
      if (socket.writableLength > MAX_UNREAD_BYTES) socket.destroy()
      else await new Promise((resolve) => socket.write(chunk, resolve))
    })
  }

  /** Resolves when every command so far is answered. */
  async answered(): Promise<void> {
    await Promise.all(this.#commands)
  }

  close(): void {
    this.#server.close()
  }

  #bind(): BoundHandle {
    // The mode must be right before the first client can connect.
    const mask = process.umask(0o177)
    try {
      return bindUnix(this.#path)
    } finally {
      process.umask(mask)
    }
  }

  #note(answered: Promise<void>): void {
    this.#commands.add(answered)
    void answered.finally(() => this.#commands.delete(answered))
  }

  #streamEvents(response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'application/x-ndjson' })
    this.#streams.add(response)
    response.on('close', () => {
      this.#streams.delete(response)
      this.#events.remove(response)
    })
    this.#events.add(response, async (event) => {
      if (response.writableLength > MAX_UNREAD_BYTES) response.destroy()
      else await new Promise((resolve) => response.write(`${JSON.stringify(event)}\n`, resolve))
    })
  }
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

/** Resolves when the answer was sent, or its client has left. */
async function sendAnswer(response: ServerResponse, { statusCode, body }: CommandAnswer): Promise<void> {
  const headers = { 'content-type': 'application/json; charset=utf-8', ...(statusCode === 405 && { allow: 'POST' }) }
  response.writeHead(statusCode, headers).end(`${JSON.stringify(body)}\n`)
  if (!response.closed) await new Promise((resolve) => response.once('close', resolve))
}
