import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { CommandError, type Commands, Outcome } from './commands.ts'

type Arguments = Record<string, unknown>

/** What the command line can ask, by name; each calls the function of that name. */
const COMMANDS: Record<string, (commands: Commands, args: Arguments) => unknown> = {
  ping: (commands) => commands.ping(),
  status: (commands) => commands.status(),
  reload: (commands) => commands.reload(),
  scale: (commands, { workers }) => commands.scale(String(workers)),
  recycle: (commands, { slot }) => commands.recycle(slot),
  why: (commands, { slot, limit }) => commands.why({ slot, limit }),
  'settings-get': (commands, { key }) => commands.settingsGet(key === undefined ? key : toText('key', key)),
  'settings-set': (commands, { key, value, text }) =>
    commands.settingsSet(toText('key', key), text === undefined ? { value } : { text: toText('text', text) }),
  'log-level': (commands, { level }) => commands.settingsSet('logLevel', { value: level }),
  'cache-clear': (commands) => commands.cacheClear(),
  'sessions-list': (commands, { user }) => commands.listSessions(user),
  'sessions-end': (commands, { user, handle }) => commands.endSessions(user, handle),
  stop: (commands) => void commands.stop()
}

/** Longest body of a command, in bytes. */
const BODY_LIMIT = 64 * 1024

/**
 * `POST /commands/<name>` on a Unix socket that only this user can open. It works when every worker is dead, and while
 * it answers, the folder it is in belongs to this primary.
 */
export async function openAdminSocket(path: string, commands: Commands): Promise<() => void> {
  const server = createServer((request, response) => void answer(request, response, commands))
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

async function answer(request: IncomingMessage, response: ServerResponse, commands: Commands): Promise<void> {
  const send = (status: number, body: Partial<Outcome> & { error?: string }) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(body)}\n`)
  }
  try {
    const name = /^\/commands\/([a-z-]+)$/.exec(request.url ?? '')?.[1] ?? ''
    const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
    if (!command)
      return send(404, { ok: false, error: `no such command; there are ${Object.keys(COMMANDS).join(', ')}` })
    if (request.method !== 'POST') return send(405, { ok: false, error: 'commands are sent with POST' })
    const result = await command(commands, await readArguments(request))
    if (result instanceof Outcome) return send(result.ok ? 200 : 500, result)
    const failed = (result as { outcome?: string } | undefined)?.outcome
    const ok = failed === undefined || failed === 'done'
    send(ok ? 200 : 500, { ok, result: result ?? null })
  } catch (error) {
    const status = error instanceof CommandError ? error.statusCode : error instanceof SyntaxError ? 400 : 500
    send(status, { ok: false, error: (error as Error).message })
  }
}

async function readArguments(request: IncomingMessage): Promise<Arguments> {
  let text = ''
  for await (const chunk of request.setEncoding('utf8')) {
    text += chunk
    if (text.length > BODY_LIMIT) throw new CommandError('the arguments are too long')
  }
  const args: unknown = text === '' ? {} : JSON.parse(text)
  if (typeof args !== 'object' || args === null) throw new CommandError('the arguments must be a JSON object')
  return args as Arguments
}

function toText(name: string, value: unknown): string {
  if (typeof value === 'string') return value
  throw new CommandError(`${name}: must be text`)
}
