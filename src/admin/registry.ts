import type { Command } from './command.ts'
import { diagnose } from './commands/diagnostics/diagnose.ts'
import { heap } from './commands/diagnostics/heap.ts'
import { profile } from './commands/diagnostics/profile.ts'
import { report } from './commands/diagnostics/report.ts'
import { audit } from './commands/history/audit.ts'
import { journal } from './commands/history/journal.ts'
import { why } from './commands/history/why.ts'
import { quarantineAdd } from './commands/quarantine/quarantine-add.ts'
import { quarantineLift } from './commands/quarantine/quarantine-lift.ts'
import { quarantineList } from './commands/quarantine/quarantine-list.ts'
import { config } from './commands/service/config.ts'
import { ping } from './commands/service/ping.ts'
import { promote } from './commands/service/promote.ts'
import { recycle } from './commands/service/recycle.ts'
import { reload } from './commands/service/reload.ts'
import { rollback } from './commands/service/rollback.ts'
import { scale } from './commands/service/scale.ts'
import { status } from './commands/service/status.ts'
import { stop } from './commands/service/stop.ts'
import { upgrade } from './commands/service/upgrade.ts'
import { cacheClear } from './commands/state/cache-clear.ts'
import { logLevel } from './commands/state/log-level.ts'
import { sessionsEnd } from './commands/state/sessions-end.ts'
import { sessionsList } from './commands/state/sessions-list.ts'
import { settingsGet } from './commands/state/settings-get.ts'
import { settingsSet } from './commands/state/settings-set.ts'

/** A list of commands. The command line, HTTP, the admin socket, signals, the help and OpenAPI are generated from it. */
export class CommandRegistry {
  readonly commands: readonly Command[]
  readonly names: readonly string[]
  readonly #byName: ReadonlyMap<string, Command>

  constructor(commands: readonly Command[]) {
    this.commands = commands
    this.names = commands.map(({ name }) => name)
    this.#byName = new Map(commands.map((command) => [command.name, command]))
  }

  find(name: string): Command | undefined {
    return this.#byName.get(name)
  }

  /** @throws Error when there is no such command */
  get(name: string): Command {
    const command = this.find(name)
    if (!command) throw new Error(`no command ${name} is registered`)
    return command
  }
}

/** All commands, in the order of the help. To add one, write its module and list it here. */
export const registry = new CommandRegistry([
  status,
  ping,
  reload,
  promote,
  rollback,
  upgrade,
  scale,
  recycle,
  stop,
  why,
  journal,
  audit,
  config,
  settingsGet,
  settingsSet,
  logLevel,
  cacheClear,
  sessionsList,
  sessionsEnd,
  quarantineList,
  quarantineAdd,
  quarantineLift,
  profile,
  heap,
  report,
  diagnose
])
