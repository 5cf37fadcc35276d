import type { Logger } from '../log.ts'
import { CommandError, type Commands } from './commands.ts'

/** A Ctrl-C comes twice under `npm start`: from the terminal to the whole group, and passed on by npm. In ms. */
const ECHO_MS = 100

/** Signals to the primary, each the same function that the admin socket calls. @param cut ends everything at once */
export function handleSignals(commands: Commands, cut: (why: string) => void, log: Logger): void {
  let stoppingSince: number | undefined
  const stop = (signal: string) => {
    if (stoppingSince !== undefined) {
      if (signal === 'SIGINT' && performance.now() - stoppingSince < ECHO_MS) return
      return cut(`a second signal, ${signal}`)
    }
    stoppingSince = performance.now()
    log.info({ signal }, 'draining; a second signal cuts')
    void commands.stop()
  }
  const scale = (change: string) => {
    try {
      log.info(commands.scale(change), 'scaled')
    } catch (error) {
      if (!(error instanceof CommandError)) throw error
      log.warn(error.message)
    }
  }
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.removeAllListeners(signal) // main.ts' own
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  process.on('SIGQUIT', (signal) => cut(signal))
  process.on('SIGHUP', () => void commands.reload().catch((error: Error) => log.warn(error.message)))
  process.on('SIGTTIN', () => scale('+1'))
  process.on('SIGTTOU', () => scale('-1'))
}
