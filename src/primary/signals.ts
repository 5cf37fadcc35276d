import type { CommandName } from '../admin/registry.ts'
import type { Logger } from '../log.ts'
import type { Admin } from './admin.ts'

/** A Ctrl-C comes twice under `npm start`: from the terminal to the whole group, and passed on by npm. In ms. */
const ECHO_MS = 100

/** Signals to the primary, each the same command that the other doors know. @param cut ends everything at once */
export function handleSignals(admin: Admin, cut: (why: string) => void, log: Logger): void {
  let stoppingSince: number | undefined
  const run = (signal: string, command: CommandName, args: object = {}) => {
    void admin.run(command, args, { door: 'signal', who: signal }).then(({ body }) => {
      if ('message' in body) log.warn({ signal, command }, body.message)
    })
  }
  const stop = (signal: string) => {
    if (stoppingSince !== undefined) {
      if (signal === 'SIGINT' && performance.now() - stoppingSince < ECHO_MS) return
      return cut(`a second signal, ${signal}`)
    }
    stoppingSince = performance.now()
    log.info({ signal }, 'draining; a second signal cuts')
    run(signal, 'stop')
  }
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.removeAllListeners(signal) // main.ts' own
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  process.on('SIGQUIT', (signal) => cut(signal))
  process.on('SIGHUP', () => run('SIGHUP', 'reload'))
  process.on('SIGTTIN', () => run('SIGTTIN', 'scale', { workers: '+1' }))
  process.on('SIGTTOU', () => run('SIGTTOU', 'scale', { workers: '-1' }))
}
