import type { CommandRunner } from '../../admin/command-runner.ts'
import { stop } from '../../admin/commands/service/stop.ts'
import type { Logger } from '../../common/log.ts'

/**
 * A signal to the process group of `npm start` (Ctrl-C in the terminal, `kill -- -pgid`) arrives twice: from its sender and
 * from npm, which forwards its own, usually within 10 ms. The same signal within this time, in ms, is not a second one.
 */
const FORWARDED_MS = 500

/** Ignores signals while another primary decides what they mean. */
export function ignoreSignals(): void {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR2'] as const) replaceListeners(signal, () => {})
}

/** Node forgets a signal that has arrived and was not handled when its last listener goes, so the new one comes first. */
function replaceListeners(signal: NodeJS.Signals, listener: () => void): void {
  const others = process.listeners(signal)
  process.on(signal, listener)
  for (const other of others) process.off(signal, other)
}

/**
 * Runs the command of each signal, as the commands define them. A second signal that stops the service ends it at once, as
 * SIGQUIT does.
 * @param cut ends the service without draining
 */
export function handleSignals(runner: CommandRunner, cut: (why: string) => void, log: Logger): void {
  const run = (signal: NodeJS.Signals, name: string, args: object) => {
    void runner.run(name, args, { transport: 'signal', who: signal }).then(({ body }) => {
      if ('message' in body) log.warn({ signal, command: name }, body.message)
    })
  }
  let first: { signal: string; at: number } | undefined
  const runStop = (signal: NodeJS.Signals, args: object) => {
    if (first) {
      const isForwarded = signal === first.signal && performance.now() - first.at < FORWARDED_MS
      if (!isForwarded) cut(`a second signal, ${signal}`)
      return
    }
    first = { signal, at: performance.now() }
    log.info({ signal }, 'draining; a second signal cuts')
    run(signal, stop.name, args)
  }
  for (const { name, signals = {} } of runner.registry.commands) {
    for (const [signal, args] of Object.entries(signals) as [NodeJS.Signals, object][]) {
      // Others listen while the service starts.
      replaceListeners(signal, () => (name === stop.name ? runStop(signal, args) : run(signal, name, args)))
    }
  }
  process.on('SIGQUIT', (signal) => cut(signal))
}
