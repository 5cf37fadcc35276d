#!/usr/bin/env node
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { refusal } from '../admin/answer.ts'
import { fromWords, issuesOf } from '../admin/arguments.ts'
import { AUDIT_FILE, type Entry, JOURNAL_FILE, Journal } from '../admin/journal.ts'
import { type ArgsOf, type Command, find } from '../admin/registry.ts'
import { EXIT_CONFIG, StartupError } from '../common/errors.ts'
import { loadConfig } from '../config/load.ts'
import { readWhy } from '../primary/control/commands.ts'
import { type Answer, ask, NobodyThere, ServiceEnded, watch } from './admin-client.ts'
import { format, jsonLine, line, printable } from './format.ts'
import { completion, help } from './help.ts'
import { tellProgress } from './rollout-progress.ts'

const WATCH_MS = 1000
/** Commands that are answered from files of RUN_DIR where no primary runs. */
const FILES: Record<string, string> = { why: JOURNAL_FILE, journal: JOURNAL_FILE, audit: AUDIT_FILE }
const { stdout, stderr } = process

/** Arguments in, one request to the admin socket, a table or JSON out. @returns the exit code */
async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    // "-1" of `scale -1` is a count, not an option.
    args: process.argv.slice(2).map((arg) => (/^-\d+$/.test(arg) ? `\u2212${arg.slice(1)}` : arg)),
    options: { json: { type: 'boolean' }, watch: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } }
  })
  const words = positionals.map((word) => word.replace(/^\u2212(?=\d+$)/, '-'))
  if (values.help) {
    stdout.write(help())
    return 0
  }
  if (words[0] === 'completion') return complete(words[1])
  const { adminSocket, runDir } = loadConfig()
  if (words[0] === 'events') return follow(adminSocket, values.json)
  // "settings get" is the command settings-get.
  const two = words.slice(0, 2).join('-')
  const name = find(two) ? two : (words[0] ?? '')
  const command = find(name)
  if (!command) {
    stderr.write(help())
    return 2
  }
  const args = fromWords(command, words.slice(name === two ? 2 : 1))
  const give = () => giveCommand(adminSocket, runDir, name, command, args)
  if (!values.watch) return show(name, await withProgress(name, adminSocket, values.json, give), values.json)
  for (;;) {
    const answer = await give()
    if (stdout.isTTY && !values.json) stdout.write('\x1b[2J\x1b[H')
    const code = show(name, answer, values.json)
    if (code !== 0) return code
    await sleep(WATCH_MS)
  }
}

async function giveCommand(
  socket: string,
  runDir: string,
  name: string,
  command: Command,
  args: object
): Promise<Answer> {
  try {
    return await ask(socket, name, args)
  } catch (error) {
    const file = FILES[name] && join(runDir, FILES[name])
    if (file === undefined || !(error instanceof NobodyThere) || !existsSync(file))
      return refusal(503, (error as Error).message).body
    // Without a primary the files tell it.
    const faults = issuesOf(command, args)
    if (faults !== undefined) return refusal(400, faults).body
    return { ok: true, result: readWhy(new Journal(file), args as ArgsOf<'why'>), acks: [], missing: [] }
  }
}

/** A roll may take long. */
async function withProgress(
  name: string,
  socket: string,
  json: boolean | undefined,
  give: () => Promise<Answer>
): Promise<Answer> {
  const end = name === 'reload' && !json ? tellProgress(socket, stderr) : () => {}
  try {
    return await give()
  } finally {
    end()
  }
}

function show(name: string, answer: Answer, json: boolean | undefined): number {
  if (json) stdout.write(jsonLine(answer))
  else if ('message' in answer) stderr.write(`muster: ${printable(answer.message)}\n`)
  else {
    stdout.write(format(name, answer.result, stdout.isTTY && stdout.hasColors()))
    for (const { slot, host, pid, why } of answer.missing) {
      stderr.write(`muster: ${printable(`slot ${slot} of ${host}, pid ${pid}: ${why}`)}\n`)
    }
  }
  return answer.ok ? 0 : 1
}

/** What happens, line by line; the whole status only as JSON. @returns 0 when the service has said that it ends */
async function follow(socket: string, json: boolean | undefined): Promise<number> {
  let saidStop = false
  try {
    for await (const event of watch(socket)) {
      saidStop = event.event === 'journal' && (event.data as Entry).event === 'stop'
      if (json) stdout.write(jsonLine(event))
      else if (event.event !== 'status') stdout.write(line(event.data as Entry))
    }
  } catch (error) {
    if (error instanceof ServiceEnded) stderr.write(`muster: the service has ended${saidStop ? '' : ' unexpectedly'}\n`)
    else if (error instanceof NobodyThere) stderr.write(`muster: ${error.message}\n`)
    else throw error
  }
  return saidStop ? 0 : 1
}

function complete(shell: string | undefined): number {
  const script = completion(shell)
  if (script === undefined) stderr.write('muster: completion is there for bash and zsh\n')
  stdout.write(script ?? '')
  return script === undefined ? 2 : 0
}

for (const stream of [stdout, stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    // Its reader has had enough, as `head` does: that is no failure.
    if (error.code === 'EPIPE') process.exit()
    throw error
  })
}
try {
  process.exitCode = await main()
} catch (error) {
  const usage = (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS')
  if (!usage && !(error instanceof StartupError)) throw error
  stderr.write(`muster: ${(error as Error).message}\n`)
  process.exitCode = usage ? 2 : EXIT_CONFIG
}
