import { hostname } from 'node:os'
import type { Properties, Schema, Static } from '../common/json-schema.ts'
import type { Ack, Caller, DeliveryReport } from '../ipc/messages.ts'
import type { CommandContext, JournalFiles } from './command-context.ts'

/** What a token may do. `read` shows the state; `control` also changes it and shows personal data. */
export type Level = 'read' | 'control'

/** The JSON schema of a command's arguments. */
export interface Arguments extends Schema {
  readonly type: 'object'
  readonly properties: Properties
  readonly required?: readonly string[]
  readonly additionalProperties: false
}

/** An admin command: its definition and its handler. The transports, the help and OpenAPI are generated from it. */
export interface Command<Args extends Arguments = Arguments> {
  /** The name in HTTP paths, such as `settings-get`. */
  readonly name: string
  /** One line for the help, the documentation and OpenAPI. Starts with a verb. */
  readonly summary: string
  readonly level: Level
  /** What operators type after `muster`: the words of the name, then arguments in capitals, optional ones in brackets. */
  readonly usage: string
  /** The names of the arguments in `usage`, in that order. */
  readonly positional: readonly string[]
  /** The description of each argument completes "must be …". The audit log does not show arguments with `secret: true`. */
  readonly args: Args
  readonly result: Schema
  /** Arguments that are valid, and a result that fits the schema. */
  readonly example: { readonly args: Static<Args>; readonly result: unknown }
  /** Signals to the primary that give this command, with the arguments that each stands for. */
  readonly signals?: Readonly<Partial<Record<NodeJS.Signals, Static<Args>>>>
  /**
   * Handles the command. Returns the result, or a {@link CommandResult} that also names the workers that did it.
   * @throws CommandError when it cannot be done as asked
   */
  run(context: CommandContext, args: Static<Args>, caller: Caller): unknown
  /** Answers from the files of RUN_DIR when no service runs. Without it, the command needs a running service. */
  runOffline?(files: JournalFiles, args: Static<Args>): unknown
}

/**
 * Checks the types of a definition: the types of the arguments follow from their schema. What generic code gets is a
 * {@link Command} of any arguments, which it must have checked against `args` before it calls the handler.
 */
export const defineCommand = <const Args extends Arguments>(command: Command<Args>): Command =>
  command as unknown as Command

/** A command's result, with the workers that are known to have done it (`acks`) and those that are not (`missing`). */
export class CommandResult {
  readonly result: unknown
  /** False when the outcome is not what the caller asked for. */
  readonly ok: boolean
  readonly acks: DeliveryReport['acks']
  readonly missing: DeliveryReport['missing']

  constructor(
    result: unknown,
    { acks = [], missing = [], ok = true }: Partial<DeliveryReport> & { ok?: boolean } = {}
  ) {
    this.result = result
    this.ok = ok
    this.acks = acks
    this.missing = missing
  }
}

/** A worker of this host as answers name it. */
export const ackOf = ({ slot, pid }: { slot: number; pid: number }): Ack => ({ host: hostname(), slot, pid })
