#!/usr/bin/env node
// The command `muster`. `muster start` and `muster dev` turn this process into the primary, so its listeners for signals come
// before everything else: process 1 of a container ignores signals that have no listener. Until the primary has started, there is
// nothing to drain.
import { keepCompiledCode, loadModule } from '../config/code-loading.ts'

const [, , command = '', ...args] = process.argv
if (command === 'start' || command === 'dev') {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR2'] as const) {
    process.on(signal, () => {
      if (signal === 'SIGTERM' || signal === 'SIGINT') process.exit(0)
    })
  }
  keepCompiledCode()
  const { devCommand, startCommand } = await loadModule<typeof import('./start-command.ts')>('cli/start-command.js')
  await (command === 'dev' ? devCommand(args) : startCommand(args))
} else if (command === 'complete-words') {
  await (await import('./completion/complete-words.ts')).completeWords(args)
} else if (command === 'drill') {
  await (await import('./drill/drill-command.ts')).drillCommand(args)
} else if (command === 'init') {
  await (await import('./init/init-command.ts')).initCommand(args)
} else {
  await (await import('./control.ts')).runControl()
}
