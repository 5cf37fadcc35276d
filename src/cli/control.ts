import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { Command } from '../admin/command.ts'
import { argumentIssues, argumentsFromWords } from '../admin/command-arguments.ts'
import type { ReloadOutcome } from '../admin/command-context.ts'
import { CommandError, errorAnswer } from '../admin/command-error.ts'
import { AUDIT_FILE, JOURNAL_FILE, type JournalEntry, JournalFile } from '../admin/journal-file.ts'
import { EXIT_CONFIG, StartupError } from '../common/errors.ts'
import { printable } from '../common/text/printable.ts'
import { UsageError } from '../config/sources/flags.ts'
import { type Answer, ServiceEnded, ServiceNotRunning, sendCommand, watchEvents } from './admin-client.ts'
import { findAnalysis } from './analysis/analyses.ts'
import type { Analysis } from './analysis/analysis.ts'
import { runAnalysis } from './analysis/run-analysis.ts'
import { findCommand, parseCommandLine, readArguments } from './command-line.ts'
import { completionScript } from './completion/shells.ts'
import { findService, NoServiceError, type Target } from './find-service.ts'
import { verbsOf } from './help/help.ts'
import { helpPage } from './help/pages.ts'
import { format, jsonLine } from './output/format.ts'
import { formatEntry } from './output/journal-table.ts'
import { showProgress } from './output/rollout-progress.ts'
import { NO_SCREEN, type Screen } from './output/table.ts'
import { watchAnswers } from './output/watch.ts'

const EXIT_USAGE = 2
/** A reload was rolled back because its own traffic showed that the new release is worse. */
const EXIT_WORSE = 3
/** A reload waits for an operator. */
const EXIT_HELD = 4
const { stdout, stderr } = process

interface Invocation extends Target {
  command: Command
  args: object
  json: boolean
}

/** Sends one command to the admin socket and prints the answer, as text or as JSON. @returns the exit code */
async function main(): Promise<number> {
  const { words, flags, json, isWatching, wantsHelp, wantsVersion, sources } = parseCommandLine(process.argv.slice(2))
  if (wantsVersion) return print(`${versionOf()}\n`)
  if (wantsHelp) return print(helpPage(words))
  const analysis = findAnalysis(words)
  if (analysis) return analyse(analysis, words.slice(2), { flags, json, sources })
  const named = findCommand(words)
  if (words[0] === 'completion') return print(completionScript(words[1]))
  if (isWatching && named?.command.name !== 'status') throw new UsageError('--watch is for `muster status` only')
  // With --json, a script gets the answer of the service, also to arguments that do not fit.
  const args = named && (json ? argumentsFromWords : readArguments)(named.command, named.words, flags)
  if (words.length === 0) {
    stderr.write(helpPage([]))
    return EXIT_USAGE
  }
  const target = await findTarget(sources, json)
  if (target === undefined) return 1
  if (target.notice) stderr.write(`muster: ${target.notice}\n`)
  if (!named || !args) return printEvents(target, json)
  const invocation = { ...target, command: named.command, args, json }
  return isWatching ? watch(invocation) : printAnswer(invocation, await runWithProgress(invocation))
}

/** @returns undefined when no service is found, which has been printed then */
async function findTarget(sources: Parameters<typeof findService>[0], json: boolean): Promise<Target | undefined> {
  try {
    return await findService(sources)
  } catch (error) {
    if (!(error instanceof NoServiceError)) throw error
    printFailure(errorAnswer(503, error.message).body, json)
    return undefined
  }
}

/** Runs an analysis of files, and prints it. */
async function analyse(
  analysis: Analysis,
  words: string[],
  { flags, json, sources }: Pick<ReturnType<typeof parseCommandLine>, 'flags' | 'json' | 'sources'>
): Promise<number> {
  const [flag] = Object.keys(flags)
  if (flag) throw new UsageError(`'${verbsOf(analysis).join(' ')}' has no flag --${flag}`)
  const findRunDir = () =>
    findService(sources).then(
      ({ runDir }) => runDir,
      () => undefined
    )
  try {
    return print(await runAnalysis(analysis, words, { json, screen: screenOf(), findRunDir }))
  } catch (error) {
    if (error instanceof UsageError) throw error
    printFailure(errorAnswer(422, (error as Error).message).body, json)
    return 1
  }
}

async function run({ command, args, socketPath, runDir, others }: Invocation): Promise<Answer> {
  try {
    return await sendCommand(socketPath, command.name, args)
  } catch (error) {
    if (!(error instanceof ServiceNotRunning)) return errorAnswer(503, (error as Error).message).body
    const message = others === undefined ? error.message : `${error.message}\n${others}`
    return runOffline(command, args, runDir) ?? errorAnswer(503, message).body
  }
}

/** Answers from the files of RUN_DIR. @returns undefined when there are none, or when the command needs a service */
function runOffline(command: Command, args: object, runDir: string): Answer | undefined {
  const path = join(runDir, JOURNAL_FILE)
  if (!command.runOffline || !existsSync(path)) return undefined
  const issues = argumentIssues(command, args)
  if (issues !== undefined) return errorAnswer(400, issues).body
  const files = { journal: new JournalFile(path), auditLog: new JournalFile(join(runDir, AUDIT_FILE)) }
  try {
    return { ok: true, result: command.runOffline(files, args as Record<string, unknown>), acks: [], missing: [] }
  } catch (error) {
    if (error instanceof CommandError) return errorAnswer(error.statusCode, error.message).body
    throw error
  }
}

/** A reload takes long, so its steps are shown on standard error meanwhile. */
async function runWithProgress(invocation: Invocation): Promise<Answer> {
  const { command, socketPath, json } = invocation
  const endProgress =
    (command.name === 'reload' || command.name === 'upgrade') && !json ? showProgress(socketPath, stderr) : () => {}
  try {
    return await run(invocation)
  } finally {
    endProgress()
  }
}

/** Prints the answer again every second. @returns the exit code of the first answer that is not ok */
async function watch(invocation: Invocation): Promise<number> {
  const { json, command } = invocation
  const redraws = stdout.isTTY && !json
  const textWithEnd = (answer: Answer) => `${textOf(command, answer)}${missingOf(answer)}${redraws ? '' : '\n'}`
  const show = (answer: Answer) => (json ? jsonLine(answer) : textWithEnd(answer))
  const last = await watchAnswers({ out: stdout, ask: () => run(invocation), show, redraws })
  return printAnswer(invocation, last)
}

function printAnswer({ command, json }: Invocation, answer: Answer): number {
  if (json || 'message' in answer) printFailure(answer, json)
  else {
    stdout.write(textOf(command, answer))
    stderr.write(missingOf(answer))
  }
  return exitCodeOf(answer)
}

/** Tells a script apart what became of a reload. */
function exitCodeOf(answer: Answer): number {
  if (answer.ok) return 0
  const { outcome, trial } = ('result' in answer && (answer.result as Partial<ReloadOutcome> | null)) || {}
  if (outcome === 'held') return EXIT_HELD
  return outcome === 'failed' && trial?.outcome === 'worse' ? EXIT_WORSE : 1
}

/** Prints an answer as JSON, or its message; further lines of a message are indented. */
function printFailure(answer: Answer, json: boolean): void {
  if (json) stdout.write(jsonLine(answer))
  else if ('message' in answer) stderr.write(`muster: ${answer.message.split('\n').map(printable).join('\n  ')}\n`)
}

/** The screen of standard output. Node knows NO_COLOR and terminals without colours. */
const screenOf = (): Screen =>
  stdout.isTTY ? { hasColours: stdout.hasColors(), width: stdout.columns || NO_SCREEN.width } : NO_SCREEN

const textOf = (command: Command, answer: Answer) =>
  'result' in answer ? format(command.name, answer.result, screenOf()) : ''

/** A line for each worker that did not do it. */
const missingOf = (answer: Answer) =>
  ('missing' in answer ? answer.missing : [])
    .map(({ slot, host, pid, why }) => `muster: ${printable(`slot ${slot} of ${host}, pid ${pid}: ${why}`)}\n`)
    .join('')

/** Prints events until the service ends; status events only as JSON. @returns 0 when the service announced its end */
async function printEvents({ socketPath }: Target, json: boolean): Promise<number> {
  let hasStopped = false
  try {
    for await (const event of watchEvents(socketPath)) {
      hasStopped = event.event === 'journal' && (event.data as JournalEntry).event === 'stop'
      if (json) stdout.write(jsonLine(event))
      else if (event.event !== 'status') stdout.write(formatEntry(event.data as JournalEntry, screenOf()))
    }
  } catch (error) {
    if (error instanceof ServiceEnded)
      stderr.write(`muster: the service has ended${hasStopped ? '' : ' unexpectedly'}\n`)
    else if (error instanceof ServiceNotRunning) stderr.write(`muster: ${error.message}\n`)
    else throw error
  }
  return hasStopped ? 0 : 1
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
