import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from '../admin/command.ts'
import { argumentIssues, argumentsFromWords } from '../admin/command-arguments.ts'
import { errorAnswer } from '../admin/command-error.ts'
import { AUDIT_FILE, JOURNAL_FILE, type JournalEntry, JournalFile } from '../admin/journal-file.ts'
import { EXIT_CONFIG, StartupError } from '../common/errors.ts'
import { loadConfig } from '../config/load.ts'
import { UsageError } from '../config/sources/flags.ts'
import { gatherEnvironment } from '../config/sources/gather-environment.ts'
import { type Answer, ServiceEnded, ServiceNotRunning, sendCommand, watchEvents } from './admin-client.ts'
import { findCommand, parseCommandLine, readArguments } from './command-line.ts'
import { format, formatEntry, jsonLine, printable } from './format.ts'
import { commandHelp, completion, help } from './help.ts'
import { showProgress } from './rollout-progress.ts'
import { devHelp, startHelp } from './start-help.ts'

const WATCH_INTERVAL_MS = 1000
const EXIT_USAGE = 2
const { stdout, stderr } = process

interface Invocation {
  command: Command
  args: object
  socketPath: string
  runDir: string
  json: boolean
}

/** Sends one command to the admin socket and prints the answer, as a table or as JSON. @returns the exit code */
async function main(): Promise<number> {
  const { words, json, isWatching, wantsHelp, wantsVersion, sources } = parseCommandLine(process.argv.slice(2))
  if (wantsVersion) return print(`${versionOf()}\n`)
  const named = findCommand(words)
  if (wantsHelp && words[0] === 'start') return print(startHelp())
  if (wantsHelp && words[0] === 'dev') return print(devHelp())
  if (wantsHelp) return print(named ? commandHelp(named.command) : help())
  if (words[0] === 'completion') return printCompletion(words[1])
  if (isWatching && named?.command.name !== 'status') throw new UsageError('--watch is for `muster status` only')
  // With --json, a script gets the answer of the service, also to arguments that do not fit.
  const args = named && (json ? argumentsFromWords : readArguments)(named.command, named.words)
  const origins = await gatherEnvironment(sources)
  const { adminSocket: socketPath, runDir } = loadConfig(undefined, { origins })
  if (words[0] === 'events') return printEvents(socketPath, json)
  if (!named || !args) {
    stderr.write(help())
    return EXIT_USAGE
  }
  const invocation = { command: named.command, args, socketPath, runDir, json }
  return isWatching ? watch(invocation) : printAnswer(invocation, await runWithProgress(invocation))
}

async function run({ command, args, socketPath, runDir }: Invocation): Promise<Answer> {
  try {
    return await sendCommand(socketPath, command.name, args)
  } catch (error) {
    const offline = error instanceof ServiceNotRunning ? runOffline(command, args, runDir) : undefined
    return offline ?? errorAnswer(503, (error as Error).message).body
  }
}

/** Answers from the files of RUN_DIR. @returns undefined when there are none, or when the command needs a service */
function runOffline(command: Command, args: object, runDir: string): Answer | undefined {
  const path = join(runDir, JOURNAL_FILE)
  if (!command.runOffline || !existsSync(path)) return undefined
  const issues = argumentIssues(command, args)
  if (issues !== undefined) return errorAnswer(400, issues).body
  const files = { journal: new JournalFile(path), auditLog: new JournalFile(join(runDir, AUDIT_FILE)) }
  return { ok: true, result: command.runOffline(files, args as Record<string, unknown>), acks: [], missing: [] }
}

/** A reload takes long, so its steps are shown on standard error meanwhile. */
async function runWithProgress(invocation: Invocation): Promise<Answer> {
  const { command, socketPath, json } = invocation
  const endProgress = command.name === 'reload' && !json ? showProgress(socketPath, stderr) : () => {}
  try {
    return await run(invocation)
  } finally {
    endProgress()
  }
}

/** Prints the answer again every second. @returns the exit code of the first answer that is not ok */
async function watch(invocation: Invocation): Promise<number> {
  for (;;) {
    const answer = await run(invocation)
    const code = printAnswer(invocation, answer, stdout.isTTY && !invocation.json)
    if (code !== 0) return code
    await sleep(WATCH_INTERVAL_MS)
  }
}

/** @param redraws replaces what a terminal shows, line by line, so that it does not flicker */
function printAnswer({ command, json }: Invocation, answer: Answer, redraws = false): number {
  if (json) stdout.write(jsonLine(answer))
  else if ('message' in answer) stderr.write(`muster: ${printable(answer.message)}\n`)
  else {
    const shown = format(command.name, answer.result, stdout.isTTY && stdout.hasColors())
    stdout.write(redraws ? `\x1b[H${shown.replaceAll('\n', '\x1b[K\n')}\x1b[J` : shown)
    for (const { slot, host, pid, why } of answer.missing) {
      stderr.write(`muster: ${printable(`slot ${slot} of ${host}, pid ${pid}: ${why}`)}\n`)
    }
  }
  return answer.ok ? 0 : 1
}

/** Prints events until the service ends; status events only as JSON. @returns 0 when the service announced its end */
async function printEvents(socketPath: string, json: boolean): Promise<number> {
  let hasStopped = false
  try {
    for await (const event of watchEvents(socketPath)) {
      hasStopped = event.event === 'journal' && (event.data as JournalEntry).event === 'stop'
      if (json) stdout.write(jsonLine(event))
      else if (event.event !== 'status') stdout.write(formatEntry(event.data as JournalEntry))
    }
  } catch (error) {
    if (error instanceof ServiceEnded)
      stderr.write(`muster: the service has ended${hasStopped ? '' : ' unexpectedly'}\n`)
    else if (error instanceof ServiceNotRunning) stderr.write(`muster: ${error.message}\n`)
    else throw error
  }
  return hasStopped ? 0 : 1
}

function printCompletion(shell: string | undefined): number {
  const script = completion(shell)
  if (script !== undefined) return print(script)
  throw new UsageError('unknown shell: `muster completion bash` or `muster completion zsh`')
}

const versionOf = () => (createRequire(import.meta.url)('muster-serve/package.json') as { version: string }).version

function print(text: string): number {
  stdout.write(text)
  return 0
}

/** Runs a command of the admin plane, or one that needs no service. Sets the exit code of this process. */
export async function runControl(): Promise<void> {
  for (const stream of [stdout, stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      // The reader closed the pipe, as `head` does: that is no failure.
      if (error.code === 'EPIPE') process.exit()
      throw error
    })
  }
  try {
    process.exitCode = await main()
  } catch (error) {
    const isUsage = error instanceof UsageError
    if (!isUsage && !(error instanceof StartupError)) throw error
    stderr.write(`muster: ${(error as Error).message}\n`)
    process.exitCode = isUsage ? EXIT_USAGE : EXIT_CONFIG
  }
}
