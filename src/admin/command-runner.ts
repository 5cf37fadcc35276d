import type { Logger } from '../common/log.ts'
import { RpcError } from '../ipc/channel.ts'
import type { Caller, CommandAnswer } from '../ipc/messages.ts'
import { type Command, CommandResult } from './command.ts'
import { argumentIssues } from './command-arguments.ts'
import type { CommandContext } from './command-context.ts'
import { CommandError, errorAnswer } from './command-error.ts'
import type { CommandRegistry } from './registry.ts'

export interface CommandRunnerOptions {
  registry: CommandRegistry
  context: CommandContext
  log: Logger
  /** Called with an exception that is neither a {@link CommandError} nor a worker's error. */
  onInternalError: (error: unknown, command: string) => void
}

/**
 * Runs commands by name, for every transport alike: finds the command, checks its arguments, records it in the log and the
 * audit log, calls its handler, and answers as HTTP would.
 */
export class CommandRunner {
  readonly registry: CommandRegistry
  readonly #context: CommandContext
  readonly #log: Logger
  readonly #onInternalError: CommandRunnerOptions['onInternalError']

  constructor({ registry, context, log, onInternalError }: CommandRunnerOptions) {
    this.registry = registry
    this.#context = context
    this.#log = log
    this.#onInternalError = onInternalError
  }

  /** Never rejects. */
  async run(name: string, args: object, caller: Caller): Promise<CommandAnswer> {
    const command = this.registry.find(name)
    if (!command) return errorAnswer(404, `unknown command; known commands: ${this.registry.names.join(', ')}`)
    const startedAt = performance.now()
    const details = auditDetails(command, args, caller)
    this.#record(command, 'command received', details)
    const answer = await this.#answer(command, args, caller)
    const { body } = answer
    this.#record(command, 'command answered', {
      ...details,
      ok: body.ok,
      statusCode: answer.statusCode,
      ms: Math.round(performance.now() - startedAt),
      ...('message' in body ? { why: body.message } : { acks: body.acks.length, missing: body.missing })
    })
    return answer
  }

  async #answer(command: Command, args: object, caller: Caller): Promise<CommandAnswer> {
    const issues = argumentIssues(command, args)
    if (issues !== undefined) return errorAnswer(400, issues)
    try {
      const returned = await command.run(this.#context, args as Record<string, unknown>, caller)
      const { ok, ...rest } = returned instanceof CommandResult ? returned : new CommandResult(returned)
      return { statusCode: ok ? 200 : 500, body: { ok, ...rest } }
    } catch (error) {
      if (error instanceof CommandError) return errorAnswer(error.statusCode, error.message)
      if (error instanceof RpcError) return errorAnswer(503, `the worker did not do it: ${error.message}`)
      this.#onInternalError(error, command.name)
      return errorAnswer(500, `internal error of the primary: ${(error as Error).message}`)
    }
  }

  /** Logs a command. The audit log gets commands that change something or show personal data, whatever LOG_LEVEL is. */
  #record({ level }: Command, event: string, details: Record<string, unknown>): void {
    this.#log[level === 'read' ? 'debug' : 'info'](details, event)
    if (level === 'read') return
    const { slot } = details.args as { slot?: unknown }
    this.#context.auditLog.record({ event, ...(Number.isInteger(slot) && { slot: slot as number }), ...details })
  }
}

/** The fields of log and audit entries. Hides arguments that are secret, or unknown and therefore unchecked. */
function auditDetails({ name, args: { properties } }: Command, args: object, caller: Caller): Record<string, unknown> {
  const shown = Object.entries(args ?? {}).map(([key, value]) => {
    const isSecret = !Object.hasOwn(properties, key) || properties[key]?.secret === true
    return [key, isSecret ? '(hidden)' : value]
  })
  return { command: name, args: Object.fromEntries(shown) as Record<string, unknown>, ...caller }
}
