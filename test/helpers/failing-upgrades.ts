import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Cleans } from './cleanup.ts'
import { fixture } from './load.ts'
import { temporaryFolder } from './service.ts'

/** Arguments of `muster upgrade` that make it fail, and what it says then. */
export interface FailingUpgrade {
  name: string
  args: (t: Cleans) => string[]
  reason: RegExp
  /** It is over when BOOT_TIMEOUT is. */
  hangs?: true
}

/** Runs code first, but not in workers, which get the same flags. */
const runFirst = (code: string) => {
  const module = encodeURIComponent(`if (!process.env.NODE_UNIQUE_ID) { ${code} }`)
  return `exec "${process.execPath}" --import "data:text/javascript,${module}" "$@"`
}

const HANG_AT_OPEN = `
  const { on } = process
  const hanging = (listener) => (message, handle) => {
    while (message.type === 'open');
    listener(message, handle)
  }
  process.on = (event, listener) => on.call(process, event, event === 'message' ? hanging(listener) : listener)`

export const FAILING_UPGRADES: readonly FailingUpgrade[] = [
  {
    name: 'an invalid configuration',
    args: (t) => envFile(t, 'WORKERS=many\nPORT=-1\n'),
    reason: /invalid configuration/
  },
  {
    name: 'a primary that throws at its start',
    args: (t) => program(t, runFirst('throw 1')),
    reason: /the new primary ended: exit code 1/
  },
  {
    name: 'a primary that hangs at its start',
    args: (t) => program(t, 'exec sleep 1000'),
    reason: /was not prepared in \d+ ms/,
    hangs: true
  },
  {
    name: 'a primary that hangs when it is to start its first worker',
    args: (t) => program(t, runFirst(HANG_AT_OPEN)),
    reason: /the new primary does not answer/,
    hangs: true
  },
  {
    name: 'a worker that fails in slot 2',
    args: (t) => envFile(t, `APP=${fixture('lasting-not-in-slot-2')}\n`),
    reason: /slot 2 is broken|worker 2 cannot boot/
  }
]

/** @returns the arguments that name an env file with this content */
export function envFile(t: Cleans, content: string): string[] {
  const file = join(temporaryFolder(t), 'changed.env')
  writeFileSync(file, content)
  return ['--env-file', file]
}

/** @returns the arguments that name a program in place of Node.js, which runs this shell script */
export function program(t: Cleans, script: string): string[] {
  const file = join(temporaryFolder(t), 'node')
  writeFileSync(file, `#!/bin/sh\n${script}\n`)
  chmodSync(file, 0o755)
  return ['--node', file]
}
