import { refusal } from '../../admin/answer.ts'
import { issuesOf } from '../../admin/arguments.ts'
import { CommandError } from '../../admin/command-error.ts'
import type { Journal } from '../../admin/journal.ts'
import { type ArgsOf, COMMAND_NAMES, type Command, type CommandName, find } from '../../admin/registry.ts'
import type { Logger } from '../../common/log.ts'
import { RpcError } from '../../ipc/channel.ts'
import type { Caller, CommandAnswer } from '../../ipc/messages.ts'
import type { InternalErrors } from '../internal-errors.ts'
import { type Commands, Outcome } from './commands.ts'

type Handlers = { [N in CommandName]: (args: ArgsOf<N>, caller: Caller) => unknown }

/** Runs a command by its name, whoever asks: finds it, checks its arguments, keeps the book, and answers as HTTP would. */
export class CommandRunner {
  readonly #handlers: Handlers
  readonly #audit: Journal
  readonly #errors: InternalErrors
  readonly #log: Logger

  /** @param audit has what changes something, before and after */
  constructor(commands: Commands, audit: Journal, errors: InternalErrors, log: Logger) {
    this.#audit = audit
    this.#errors = errors
    this.#log = log
    this.#handlers = {
      status: () => commands.status(),
      ping: () => commands.ping(),
      reload: (args, caller) => commands.reload(args, caller),
      scale: (args) => commands.scale(args),
      recycle: (args) => commands.recycle(args),
      stop: () => commands.stop(),
      why: (args) => commands.why(args),
      journal: (args) => commands.journal(args),
      audit: (args) => commands.audit(args),
      config: () => commands.config(),
      'settings-get': (args) => commands.settingsGet(args),
      'settings-set': (args) => commands.settingsSet(args),
      'log-level': (args) => commands.logLevel(args),
      'cache-clear': () => commands.cacheClear(),
      'sessions-list': (args) => commands.sessionsList(args),
      'sessions-end': (args) => commands.sessionsEnd(args),
      profile: (args) => commands.profile(args),
      heap: (args) => commands.heap(args),
      report: (args) => commands.report(args),
      diagnose: (args) => commands.diagnose(args)
    }
  }

  /** Never rejects. */
  async run(name: string, args: object, caller: Caller): Promise<CommandAnswer> {
    const command = find(name)
    if (!command) return refusal(404, `no such command; there are ${COMMAND_NAMES.join(', ')}`)
    const begun = performance.now()
    const book = this.#book(name, command, args, caller)
    book('asked')
    const answer = await this.#answer(name as CommandName, command, args, caller)
    const { body } = answer
    const outcome = 'message' in body ? { why: body.message } : { acks: body.acks.length, missing: body.missing }
    book('answered', {
      ok: body.ok,
      statusCode: answer.statusCode,
      ms: Math.round(performance.now() - begun),
      ...outcome
    })
    return answer
  }

  async #answer(name: CommandName, command: Command, args: object, caller: Caller): Promise<CommandAnswer> {
    const faults = issuesOf(command, args)
    if (faults !== undefined) return refusal(400, faults)
    try {
      const result = await this.#handlers[name](args as never, caller)
      const { ok, ...told } = result instanceof Outcome ? result : new Outcome(result)
      return { statusCode: ok ? 200 : 500, body: { ok, ...told } }
    } catch (error) {
      if (error instanceof CommandError) return refusal(error.statusCode, error.message)
      if (error instanceof RpcError) return refusal(503, `the worker that was to do it: ${error.message}`)
      this.#errors.caught('command', error, { command: name })
      return refusal(500, `internal error of the primary: ${(error as Error).message}`)
    }
  }

  /** Logs a command; what changes something is in the audit log too, before and after, whatever LOG_LEVEL is. */
  #book(name: string, { level, args: { properties } }: Command, args: object, caller: Caller) {
    const shown = Object.entries(args ?? {}).map(([key, value]) => {
      const { secret } = (properties[key] ?? { secret: true }) as { secret?: boolean }
      return [key, secret ? '(not shown)' : value]
    })
    const about = { command: name, args: Object.fromEntries(shown) as Record<string, unknown>, ...caller }
    const slot = about.args.slot
    return (what: 'asked' | 'answered', more: Record<string, unknown> = {}) => {
      const text = `command ${what}`
      this.#log[level === 'read' ? 'debug' : 'info']({ ...about, ...more }, text)
      if (level === 'read') return
      this.#audit.record({ event: text, ...(Number.isInteger(slot) && { slot: slot as number }), ...about, ...more })
    }
  }
}
