import { existsSync, lstatSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { JOURNAL_FILE } from '../admin/journal-file.ts'
import { socketAnswers } from '../common/socket-answers.ts'
import { loadConfig } from '../config/load.ts'
import { findConfigFile } from '../config/sources/config-file.ts'
import { copyEnvironment, gatherEnvironment, type Sources } from '../config/sources/gather-environment.ts'
import { describeService, describeServices, isOwn, isRunDirOfThisUser, runningServices } from './running-services.ts'

/** The service that a command is for. */
export interface Target {
  runDir: string
  socketPath: string
  /** A line for the user: the service is not that of this folder. */
  notice?: string
  /** Other services that run, as lines; for the case that this one does not. */
  others?: string
}

/** There is no service to send a command to, or there are several. The message names the next step. */
export class NoServiceError extends Error {}

/**
 * Finds the service that a command is for. `--run-dir`, `--config`, `--env-file` and RUN_DIR name it. Otherwise it is the one of
 * the working directory, or of the nearest parent folder with one, or the only one of this user that runs. A folder in which a
 * service has run before stands for that service, so that `stop` never ends another one by mistake.
 * @param sockets the kernel's list of Unix sockets
 * @throws StartupError for a wrong configuration of the working directory, NoServiceError
 */
export async function findService(sources: Sources, sockets?: string): Promise<Target> {
  const environment = copyEnvironment()
  const isNamed = [sources.variables?.RUN_DIR, sources.configFile, sources.envFiles, environment.RUN_DIR].some(Boolean)
  const origins = await gatherEnvironment(sources)
  const { runDir } = loadConfig(undefined, { origins })
  const here = targetOf(runDir)
  if (isNamed || (await socketAnswers(here.socketPath))) return here
  const above: string[] = []
  for await (const runDirAbove of runDirsAbove(process.cwd(), environment)) {
    const target = targetOf(runDirAbove)
    if (isRunDirOfThisUser(runDirAbove) && (await socketAnswers(target.socketPath))) return target
    above.push(runDirAbove)
  }
  const running = runningServices(sockets)
  const others = running.length > 0 ? await describeServices(running) : undefined
  const stopped = origins.has('RUN_DIR') ? runDir : [runDir, ...above].find(hasJournal)
  if (stopped !== undefined)
    return { ...targetOf(stopped), ...(others && { others: `other services run:\n${others}` }) }
  const [only, second] = running
  if (only === undefined) {
    throw new NoServiceError(
      'no service runs here: start one with `muster start app.js`, or name its RUN_DIR with --run-dir'
    )
  }
  if (second !== undefined) {
    throw new NoServiceError(`${running.length} services run, none of them in this folder: name one\n${others}`)
  }
  return { ...targetOf(only), notice: `no service of this folder runs, this is ${await describeService(only)}` }
}

const targetOf = (runDir: string): Target => ({ runDir, socketPath: join(runDir, 'admin.sock') })

const hasJournal = (runDir: string) => existsSync(join(runDir, JOURNAL_FILE))

/** Yields the RUN_DIR of each parent folder, the nearest first. Folders that every user can write to, such as /tmp, are left out. */
async function* runDirsAbove(folder: string, environment: NodeJS.ProcessEnv): AsyncGenerator<string> {
  const parent = dirname(folder)
  if (parent === folder) return
  if (isTrusted(parent)) yield await runDirOf(parent, environment)
  yield* runDirsAbove(parent, environment)
}

/** Returns the RUN_DIR that the files of a folder name. A config file is code, so only files of this user or of root are read. */
async function runDirOf(folder: string, environment: NodeJS.ProcessEnv): Promise<string> {
  const variables = { ...environment }
  try {
    const files = [join(folder, '.env'), findConfigFile(folder)].filter(
      (file) => file !== undefined && existsSync(file)
    )
    if (files.every((file) => isTrusted(file as string))) await gatherEnvironment({}, variables, folder)
  } catch {
    // The files of another folder are no concern of this command.
  }
  return resolve(folder, variables.RUN_DIR || '.run')
}

/** Whether only this user and root can write to a file or folder. Members of the group count as this user. */
function isTrusted(file: string): boolean {
  const stats = lstatSync(file)
  return isOwn(stats) && (stats.mode & 0o002) === 0
}
