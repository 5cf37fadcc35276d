import { spawn } from 'node:child_process'
import { once } from 'node:events'

/**
 * Changes a process until the change is taken back. A small shell holds the change: it takes it back even if the drill is killed, because
 * the pipe from which it reads then closes.
 * @param begin @param end shell commands; `$1` is the process id
 * @returns takes the change back
 * @throws Error when `begin` fails
 */
export async function hold(pid: number, begin: string, end: string): Promise<() => Promise<void>> {
  const script = `${begin} || exit 1; echo held; read -r _; ${end}`
  // Detached, so that Ctrl-C in the terminal does not end the shell first.
  const shell = spawn('/bin/sh', ['-c', script, 'sh', String(pid)], { detached: true, stdio: ['pipe', 'pipe', 'pipe'] })
  let problem = ''
  shell.stderr.setEncoding('utf8').on('data', (text: string) => {
    problem += text
  })
  const exited = once(shell, 'exit')
  const isHeld = await Promise.race([once(shell.stdout, 'data').then(() => true), exited.then(() => false)])
  if (!isHeld) throw new Error(problem.trim() || `${begin} failed`)
  return async () => {
    shell.stdin.end()
    await exited
  }
}

/** Stops a process until the returned function is called. The process may end meanwhile. */
export const stopProcess = (pid: number): Promise<() => Promise<void>> =>
  hold(pid, 'kill -STOP "$1"', 'kill -CONT "$1" 2>/dev/null')

/** Kills a process. One that has ended already is no error. */
export function killProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
