#!/usr/bin/env node
import { request } from 'node:http'
import { parseArgs } from 'node:util'
import { loadConfig } from './config.ts'
import { EXIT_CONFIG, StartupError } from './errors.ts'

const HELP = `Usage: muster <command> [--json]

Steers the muster that runs on RUN_DIR (default: .run).

  status      its workers, one a line
  ping        is it there?
  reload      rolling restart onto the code on disk; waits for its end
  scale N     N workers; also +1 and -1
  stop        drain and end

  --json      the answer as JSON
  -h, --help  this text

Exit code: 0 done, 1 not done, 2 no such command, 78 bad configuration.
`
const COMMANDS = ['status', 'ping', 'reload', 'scale', 'stop']

interface Answer {
  ok: boolean
  result?: unknown
  error?: string
}

/** Arguments in, one request to the admin socket, a table or JSON out. @returns the exit code */
async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    // "-1" of `scale -1` is a count, not an option.
    args: process.argv.slice(2).map((arg) => (/^-\d+$/.test(arg) ? `\u2212${arg.slice(1)}` : arg)),
    options: { json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } }
  })
  const [command = '', count] = positionals
  if (values.help) {
    process.stdout.write(HELP)
    return 0
  }
  if (!COMMANDS.includes(command)) {
    process.stderr.write(HELP)
    return 2
  }
  const answer = await ask(loadConfig().adminSocket, command, { workers: count?.replace('\u2212', '-') })
  if (values.json) process.stdout.write(`${JSON.stringify(answer)}\n`)
  else if (answer.error !== undefined) process.stderr.write(`muster: ${answer.error}\n`)
  else process.stdout.write(format(command, answer.result))
  return answer.ok ? 0 : 1
}

function ask(socketPath: string, command: string, args: object): Promise<Answer> {
  return new Promise((resolve) => {
    const fail = (error: NodeJS.ErrnoException) =>
      resolve({
        ok: false,
        error: ['ENOENT', 'ECONNREFUSED'].includes(error.code ?? '') ? `no muster runs on ${socketPath}` : error.message
      })
    const call = request({ socketPath, path: `/commands/${command}`, method: 'POST' }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      response.on('end', () => resolve(JSON.parse(text) as Answer)).on('error', fail)
    })
    call.on('error', fail).end(JSON.stringify(args))
  })
}

interface Row {
  [column: string]: unknown
}

function format(command: string, result: unknown): string {
  if (command !== 'status')
    return result === null ? 'ok\n' : typeof result === 'string' ? `${result}\n` : table([result as Row])
  const { workers, lastReload, restarts, ...service } = result as {
    workers: Row[]
    lastReload: Row | null
    restarts: Row
  }
  return [table([service]), table(workers), lastReload ? table([lastReload]) : ''].join('\n')
}

function table(rows: Row[]): string {
  const columns = Object.keys(rows[0] ?? {})
  const lines = [columns, ...rows.map((row) => columns.map((column) => text(row[column])))]
  const widths = columns.map((_, i) => Math.max(...lines.map((line) => (line[i] ?? '').length)))
  return lines
    .map(
      (line) =>
        `${line
          .map((cell, i) => cell.padEnd(widths[i] ?? 0))
          .join('  ')
          .trimEnd()}\n`
    )
    .join('')
}

const text = (value: unknown): string => (typeof value === 'object' ? JSON.stringify(value) : String(value))

try {
  process.exitCode = await main()
} catch (error) {
  const usage = (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS')
  if (!usage && !(error instanceof StartupError)) throw error
  process.stderr.write(`muster: ${(error as Error).message}\n`)
  process.exitCode = usage ? 2 : EXIT_CONFIG
}
