import { realpathSync } from 'node:fs'

/** Tells a process that it replaces the primary that started it, and gets the rest over the IPC channel. */
const SUCCESSOR = 'MUSTER_SUCCESSOR'
/** They name the process that systemd has started, or its descriptors. */
const OF_ANOTHER_PROCESS = ['LISTEN_FDS', 'LISTEN_PID', 'LISTEN_FDNAMES', 'WATCHDOG_PID']

/** Whether this process replaces the primary that started it. Workers must not find the variable. */
export function takeSuccessorRole(environment: NodeJS.ProcessEnv = process.env): boolean {
  const isSuccessor = environment[SUCCESSOR] === '1'
  delete environment[SUCCESSOR]
  return isSuccessor
}

/** @param environment of this process before files and flags were added to it */
function successorEnvironment(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const kept = Object.entries(environment).filter(([name]) => !OF_ANOTHER_PROCESS.includes(name))
  return { ...Object.fromEntries(kept), [SUCCESSOR]: '1' }
}

/** The working directory as the caller has named it: a deploy that swaps a link on its path takes effect. */
function workingFolder({ PWD }: NodeJS.ProcessEnv): string {
  const folder = process.cwd()
  try {
    return PWD && realpathSync(PWD) === folder ? PWD : folder
  } catch {
    return folder
  }
}

/** How the process that replaces this primary is started. */
export interface LaunchOptions {
  environment: NodeJS.ProcessEnv
  folder: string
}

/** @returns how to start this program again. To be called before files and flags are added to the environment */
export function launchOptions(environment: NodeJS.ProcessEnv = process.env): LaunchOptions {
  return { environment: successorEnvironment(environment), folder: workingFolder(environment) }
}
