#!/usr/bin/env node
// The command `muster`. `muster start` turns this process into the primary, so its listeners for signals come before everything
// else: process 1 of a container ignores signals that have no listener. Until the primary has started, there is nothing to drain.
import { keepCompiledCode } from '../config/compile-cache.ts'

if (process.argv[2] === 'start') {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (signal !== 'SIGHUP') process.exit(0)
    })
  }
  keepCompiledCode()
  await (await import('./start-command.ts')).startCommand(process.argv.slice(3))
} else {
  await (await import('./control.ts')).runControl()
}
