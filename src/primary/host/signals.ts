import type { CommandName } from '../../admin/registry.ts'
import type { Logger } from '../../common/log.ts'
import type { CommandRunner } from '../control/command-runner.ts'

/**
 * A signal to the process group of `npm start` (a Ctrl-C in the terminal, `kill -- -pgid`) arrives twice: from its sender
 * and from npm, which forwards its own, usually within 10 ms. The same signal within this time, in ms, is not a second one.
 */
const FORWARDED_MS = 500

/** Signals to the primary, each the same command that the other doors know. @param cut ends everything at once */
export function handleSignals(admin: CommandRunner, cut: (why: string) => void, log: Logger): void {
  let first: { signal: string; at: number } | undefined
  const run = (signal: string, command: CommandName, args: object = {}) => {
    void admin.run(command, args, { transport: 'signal', who: signal }).then(({ body }) => {
      if ('message' in body) log.warn({ signal, command }, body.message)
    })
  }
  const stop = (signal: string) => {
    if (first) {
      const isForwarded = signal === first.signal && performance.now() - first.at < FORWARDED_MS
      return isForwarded ? undefined : cut(`a second signal, ${signal}`)
    }
    first = { signal, at: performance.now() }
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
