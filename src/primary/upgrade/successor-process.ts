import { type ChildProcess, spawn } from 'node:child_process'
import type { LaunchOptions } from '../../config/sources/successor-environment.ts'
import { createChannel } from '../../ipc/channel.ts'
import { reportEndOf } from '../../node-internals/ipc-channel.ts'
import { exitCodeOf, type MainProcess } from '../host/init-process.ts'
import type { ChannelToSuccessor } from './upgrade-messages.ts'

/** The process that replaces this primary. */
export class SuccessorProcess implements MainProcess {
  readonly channel: ChannelToSuccessor
  readonly #child: ChildProcess

  /**
   * Starts the program that this process runs, from the code that is now on disk.
   * @param node path of Node @param onEnd called once, when the process has ended and everything that it sent was handled
   */
  constructor(node: string, { environment, folder }: LaunchOptions, onEnd: (cause: string) => void) {
    const child = spawn(node, [...process.execArgv, ...process.argv.slice(1)], {
      cwd: folder,
      env: environment,
      stdio: ['inherit', 'inherit', 'inherit', 'ipc']
    })
    this.#child = child
    this.channel = createChannel(child)
    reportEndOf(child)
    const exited = new Promise<string>((resolve) => {
      child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`))
      child.once('error', (error: NodeJS.ErrnoException) => {
        if (child.pid === undefined) resolve(`${node} cannot be run: ${error.message}`)
      })
    })
    const disconnected = new Promise<void>((resolve) => child.once('disconnect', resolve))
    void disconnected.then(() => {
      // Without its channel it can neither serve together with this primary nor replace it.
      this.kill('SIGKILL')
    })
    void exited.then(async (cause) => {
      if (child.pid !== undefined) await disconnected
      onEnd(cause)
    })
  }

  /** Undefined if no process could be created. */
  get pid(): number | undefined {
    return this.#child.pid
  }

  kill(signal: NodeJS.Signals): void {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill(signal)
  }

  /** Resolves with the exit code when it ends; a signal counts as 128 and its number. */
  exitCode(): Promise<number> {
    return new Promise((resolve) => {
      const settle = () => resolve(exitCodeOf(this.#child.exitCode, this.#child.signalCode))
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) settle()
      else this.#child.once('exit', settle)
    })
  }
}
