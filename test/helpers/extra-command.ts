import { pino } from 'pino'
import { defineCommand } from '../../src/admin/command.ts'
import type { CommandContext } from '../../src/admin/command-context.ts'
import { CommandRunner } from '../../src/admin/command-runner.ts'
import { argumentsOf } from '../../src/admin/command-schemas.ts'
import type { JournalEvent } from '../../src/admin/journal-file.ts'
import { CommandRegistry, registry } from '../../src/admin/registry.ts'

/** A command as a developer adds it: a definition with its handler, and an entry in the registry. */
const greet = defineCommand({
  name: 'greet',
  summary: 'greets someone',
  level: 'control',
  usage: 'greet NAME [PASSWORD]',
  positional: ['name', 'password'],
  args: argumentsOf(
    { name: { type: 'string', description: 'a name' } },
    { password: { type: 'string', description: 'a password', secret: true } }
  ),
  result: { type: 'string' },
  example: { args: { name: 'Ada' }, result: 'Hello Ada from web-1' },
  run: (context, { name }) => `Hello ${name} from ${context.status().host}`
})

export const extendedRegistry = new CommandRegistry([...registry.commands, greet])

/** Runs the commands that need no more than a status and an audit log. @returns the runner, and what it audits */
export function startRunner() {
  const audited: JournalEvent[] = []
  const context = {
    status: () => ({ host: 'web-1' }),
    auditLog: { record: (event: JournalEvent) => void audited.push(event) }
  } as unknown as CommandContext
  const runner = new CommandRunner({
    registry: extendedRegistry,
    context,
    log: pino({ level: 'silent' }),
    onInternalError: (error) => {
      throw error
    }
  })
  return { runner, audited }
}
