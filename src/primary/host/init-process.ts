import { constants } from 'node:os'
import type { Config } from '../../config/load.ts'

/** Process 1: init, or the first process of a container. */
const INIT = 1
const FORWARDED = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR2'] as const

/**
 * Whether a process waits for this one, and would end the service when it ends: process 1 of a container is this one, or its parent.
 * systemd learns of a new main process by a notification.
 * @param parent of this process when it started
 */
export const isWaitedFor = (parent: number, { systemd }: Pick<Config, 'systemd'>): boolean =>
  process.pid === INIT || (parent === INIT && systemd.notifySocket === undefined)

/** The process that a replaced primary stands for. */
export interface MainProcess {
  kill(signal: NodeJS.Signals): void
  /** Resolves when it has ended. */
  exitCode(): Promise<number>
}

/** Makes this process a minimal init: it forwards signals to the main process, and exits with its code. */
export function becomeInit(main: MainProcess): void {
  for (const signal of FORWARDED) {
    process.removeAllListeners(signal)
    process.on(signal, () => main.kill(signal))
  }
  void main.exitCode().then((code) => process.exit(code))
}

/** @returns the exit code as a shell reports it: a signal counts as 128 and its number */
export const exitCodeOf = (code: number | null, signal: NodeJS.Signals | null): number =>
  code ?? 128 + constants.signals[signal ?? 'SIGKILL']
