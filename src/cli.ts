#!/usr/bin/env node
import { existsSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { loadConfig } from './config.ts'
import { EXIT_CONFIG, StartupError } from './errors.ts'
import { CommandError, readWhy } from './primary/commands.ts'
import { type Entry, JOURNAL_FILE, Journal } from './primary/journal.ts'

const HELP = `Usage: muster <command> [--json]

Steers the muster that runs on RUN_DIR (default: .run).

  status      its workers, one a line
  ping        is it there?
  reload      rolling restart onto the code on disk; waits for its end
  scale N     N workers; also +1 and -1
  recycle N   a new worker for slot N, then the old one leaves
  stop        drain and end
  why [SLOT]  what happened to the workers, or to one, and why; also when nothing runs

  settings get [KEY]      what all workers share, or one of it
  settings set KEY VALUE  for every worker of every host
  log-level LEVEL         of the workers
  cache-clear             empties the caches of all workers
  sessions list USER          the sessions of a user, on all hosts
  sessions end USER [HANDLE]  ends them, or the one that the list calls so

  --json      the answer as JSON
  -h, --help  this text

Exit code: 0 done, 1 not done, 2 no such command, 78 bad configuration.
`
/** The arguments of each command, by the words that follow it. */
const COMMANDS: Record<string, (...words: string[]) => object> = {
  status: () => ({}),
  ping: () => ({}),
  reload: () => ({}),
  scale: (workers) => ({ workers }),
  recycle: (slot) => ({ slot: toSlot(slot) }),
  stop: () => ({}),
  why: (slot) => (slot === undefined ? {} : { slot: toSlot(slot) }),
  'settings-get': (key) => ({ key }),
  'settings-set': (key, text) => ({ key, text }),
  'log-level': (level) => ({ level }),
  'cache-clear': () => ({}),
  'sessions-list': (user) => ({ user }),
  'sessions-end': (user, handle) => ({ user, handle })
}

interface Answer {
  ok: boolean
  result?: unknown
  error?: string
  missing?: { slot: number; host: string; pid: number; why: string }[]
}

/** Nobody listens on the admin socket. */
class NobodyThere extends Error {}

/** Arguments in, one request to the admin socket, a table or JSON out. @returns the exit code */
async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    // "-1" of `scale -1` is a count, not an option.
    args: process.argv.slice(2).map((arg) => (/^-\d+$/.test(arg) ? `\u2212${arg.slice(1)}` : arg)),
    options: { json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } }
  })
  const words = positionals.map((word) => word.replace(/^\u2212(?=\d+$)/, '-'))
  // "settings get" is the command settings-get.
  const command = words.splice(0, ['settings', 'sessions'].includes(words[0] ?? '') ? 2 : 1).join('-')
  if (values.help) {
    process.stdout.write(HELP)
    return 0
  }
  const toArguments = Object.hasOwn(COMMANDS, command) ? COMMANDS[command] : undefined
  if (!toArguments) {
    process.stderr.write(HELP)
    return 2
  }
  const { adminSocket, runDir } = loadConfig()
  const args = toArguments(...words)
  const answer = await ask(adminSocket, command, args).catch((error: Error) => {
    const path = join(runDir, JOURNAL_FILE)
    const readable = command === 'why' && error instanceof NobodyThere && existsSync(path)
    return readable ? whyFrom(path, args) : { ok: false, error: error.message }
  })
  if (values.json) process.stdout.write(`${JSON.stringify(answer)}\n`)
  else if (answer.error !== undefined) process.stderr.write(`muster: ${answer.error}\n`)
  else {
    process.stdout.write(format(command, answer.result))
    for (const { slot, host, pid, why } of answer.missing ?? []) {
      process.stderr.write(`muster: slot ${slot} of ${host}, pid ${pid}: ${why}\n`)
    }
  }
  return answer.ok ? 0 : 1
}

/** What is no number goes as it is: who answers says what it should be. */
const toSlot = (word: string | undefined) => (/^\d+$/.test(word ?? '') ? Number(word) : word)

/** Without a primary the files tell it. */
function whyFrom(path: string, args: object): Answer {
  try {
    return { ok: true, result: readWhy(new Journal(path), args) }
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    return { ok: false, error: error.message }
  }
}

/** @throws NobodyThere, or what the connection ended with */
function ask(socketPath: string, command: string, args: object): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException) =>
      reject(
        ['ENOENT', 'ECONNREFUSED'].includes(error.code ?? '')
          ? new NobodyThere(`no muster runs on ${socketPath}`)
          : error
      )
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
  if (command === 'why') return history(result as Entry[])
  if (command.startsWith('settings-') || command === 'log-level') {
    const { values } = result as { values: Row }
    return table(Object.entries(values).map(([setting, value]) => ({ setting, value })))
  }
  if (command !== 'status') {
    if (result === null) return 'ok\n'
    if (typeof result === 'string') return `${result}\n`
    const rows = [result as Row | Row[]].flat()
    return rows.length > 0 ? table(rows) : 'none\n'
  }
  const { workers, lastReload, restarts, ...service } = result as {
    workers: Row[]
    lastReload: Row | null
    restarts: Row
  }
  return [table([service]), table(workers), lastReload ? table([lastReload]) : ''].join('\n')
}

function history(entries: Entry[]): string {
  if (entries.length === 0) return 'nothing is recorded\n'
  return table(
    entries.map(({ at, event, slot = '', pid = '', generation = '', why = '' }) => {
      return { time: at, event, slot, pid, generation, why: why.replace(/[\s\p{Cc}]+/gu, ' ') }
    })
  )
}

function table(rows: Row[]): string {
  // One that has not said anything yet has fewer.
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))]
  const lines = [columns, ...rows.map((row) => columns.map((column) => text(row[column], column)))]
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

function text(value: unknown, column: string): string {
  if (value === undefined) return ''
  if (column.endsWith('At')) return new Date(value as number).toISOString()
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

try {
  process.exitCode = await main()
} catch (error) {
  const usage = (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS')
  if (!usage && !(error instanceof StartupError)) throw error
  process.stderr.write(`muster: ${(error as Error).message}\n`)
  process.exitCode = usage ? 2 : EXIT_CONFIG
}
