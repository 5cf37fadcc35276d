import { array, object, oneOf, type Properties, type Schema, type Static } from '../common/json-schema.ts'
import { LOG_LEVELS } from '../config/load.ts'

/** What a token must be good for: to look, or to change something and to see what is personal. */
export type Level = 'read' | 'control'

export interface Arguments extends Schema {
  readonly type: 'object'
  readonly properties: Properties
  readonly required?: readonly string[]
  readonly additionalProperties: false
}

export interface Command<Args extends Arguments = Arguments> {
  /** One line for the help, the documentation and OpenAPI. */
  readonly summary: string
  readonly level: Level
  /** Who does it. */
  readonly runs: 'primary' | 'every worker' | 'any worker' | 'one slot'
  /** Each argument's description completes "must be …": it is the message for what is wrong. No book shows a `secret`. */
  readonly args: Args
  readonly result: Schema
  /** What is typed after `muster`: the words of the name, then the arguments in this order. */
  readonly usage: string
  /** The arguments that the capital words of `usage` are. */
  readonly positional: readonly string[]
}

const command = <const Args extends Arguments>(entry: Command<Args>): Command<Args> => entry

/** Slots are numbered from 0. */
export const MAX_SLOT = 998

const args = <const R extends Properties, const O extends Properties = Record<never, never>>(
  required: R,
  optional?: O
) => ({ ...object(required, optional), additionalProperties: false }) as const
const none = args({})
const slot = {
  type: 'integer',
  minimum: 0,
  maximum: MAX_SLOT,
  description: `a number from 0 to ${MAX_SLOT}`
} as const
const name = (of: string) =>
  ({ type: 'string', minLength: 1, maxLength: 256, description: `the name of ${of}` }) as const
const limit = { type: 'integer', minimum: 1, maximum: 10_000, description: 'a number from 1 to 10000' } as const
const text = { type: 'string' } as const
const count = { type: 'integer', minimum: 0 } as const
const nothing = { type: 'null' } as const
const each = (of: Schema) => ({ type: 'object', patternProperties: { '^.*$': of } }) as const
const row = each({})

const Entry = object({ at: text, event: text }, { slot: count, why: text })
const Outcome = object(
  { outcome: oneOf('done', 'failed', 'stopped'), generation: count, durationMs: count },
  { why: text, joined: { type: 'boolean', const: true, description: 'It was under way already.' } }
)
const Settings = object({ version: count, values: row })
const File = object({ slot: count, pid: count, path: text, bytes: count })
const Status = object({
  version: text,
  host: text,
  pid: count,
  uptimeSeconds: count,
  generation: count,
  desired: count,
  scheduling: text,
  state: text,
  workers: array(object({ slot: count, pid: count, generation: count, status: text, uptimeSeconds: count })),
  lastReload: { anyOf: [Outcome, nothing] },
  restarts: each(count)
})
const one = object({ slot: count, pid: count })

/**
 * Everything that the service can be told, once. The admin socket, HTTP and the `muster` command, their help, their
 * checks and the documentation are made of this; what is done stands in primary/commands.ts under the same name.
 */
export const COMMANDS = {
  status: command({
    summary: 'the service and its workers, one a line; who does not answer is missing',
    level: 'read',
    runs: 'primary',
    args: none,
    result: Status,
    usage: 'status',
    positional: []
  }),
  ping: command({
    summary: 'is it there, and which workers answer?',
    level: 'read',
    runs: 'every worker',
    args: none,
    result: { type: 'string', const: 'pong' },
    usage: 'ping',
    positional: []
  }),
  reload: command({
    summary: 'rolling restart onto the code on disk; waits for its end, also of one that is under way',
    level: 'control',
    runs: 'primary',
    args: none,
    result: Outcome,
    usage: 'reload',
    positional: []
  }),
  scale: command({
    summary: 'so many workers; also +1 and -1; waits until they serve',
    level: 'control',
    runs: 'primary',
    args: args({
      workers: {
        anyOf: [{ type: 'integer' }, { type: 'string', pattern: '^[+-]\\d{1,3}$' }],
        description: 'a number of workers, or +1 or -1'
      }
    }),
    result: object({ workers: count }),
    usage: 'scale WORKERS',
    positional: ['workers']
  }),
  recycle: command({
    summary: 'a new worker for a slot, then the old one leaves',
    level: 'control',
    runs: 'one slot',
    args: args({ slot }),
    result: one,
    usage: 'recycle SLOT',
    positional: ['slot']
  }),
  stop: command({
    summary: 'drain and end',
    level: 'control',
    runs: 'primary',
    args: none,
    result: nothing,
    usage: 'stop',
    positional: []
  }),
  why: command({
    summary: 'what happened to the workers, or to one, and why; also when nothing runs',
    level: 'read',
    runs: 'primary',
    args: args({}, { slot, limit }),
    result: array(Entry),
    usage: 'why [SLOT] [LIMIT]',
    positional: ['slot', 'limit']
  }),
  journal: command({
    summary: 'what happened last to the service and its workers, with the reasons; also when nothing runs',
    level: 'read',
    runs: 'primary',
    args: args({}, { limit }),
    result: array(Entry),
    usage: 'journal [LIMIT]',
    positional: ['limit']
  }),
  audit: command({
    summary: 'who gave which command, and how it ended; also when nothing runs',
    level: 'read',
    runs: 'primary',
    args: args({}, { limit }),
    result: array(Entry),
    usage: 'audit [LIMIT]',
    positional: ['limit']
  }),
  config: command({
    summary: 'every variable as it is in force; secrets are not shown',
    level: 'read',
    runs: 'primary',
    args: none,
    result: row,
    usage: 'config',
    positional: []
  }),
  'settings-get': command({
    summary: 'what all workers share, or one of it',
    level: 'read',
    runs: 'any worker',
    args: args({}, { key: name('a setting') }),
    result: Settings,
    usage: 'settings get [KEY]',
    positional: ['key']
  }),
  'settings-set': command({
    summary: 'for every worker of every host',
    level: 'control',
    runs: 'every worker',
    args: args(
      { key: name('a setting') },
      {
        value: { description: 'a value', secret: true },
        text: { type: 'string', description: 'the value as somebody types it', secret: true }
      }
    ),
    result: Settings,
    usage: 'settings set KEY VALUE',
    positional: ['key', 'text']
  }),
  'log-level': command({
    summary: 'of the workers of every host',
    level: 'control',
    runs: 'every worker',
    args: args({
      level: { ...oneOf(...LOG_LEVELS), description: `one of ${LOG_LEVELS.join(', ')}` }
    }),
    result: Settings,
    usage: 'log-level LEVEL',
    positional: ['level']
  }),
  'cache-clear': command({
    summary: 'empties the caches of all workers of every host',
    level: 'control',
    runs: 'every worker',
    args: none,
    result: object({ workers: count, unanswered: count }),
    usage: 'cache-clear',
    positional: []
  }),
  'sessions-list': command({
    summary: 'the sessions of a user, on all hosts',
    level: 'control',
    runs: 'any worker',
    args: args({ user: name('a user') }),
    result: array(object({ handle: text, createdAt: count, idleLeftMs: { type: 'integer' } })),
    usage: 'sessions list USER',
    positional: ['user']
  }),
  'sessions-end': command({
    summary: 'ends them, or the one that the list calls so',
    level: 'control',
    runs: 'any worker',
    args: args({ user: name('a user') }, { handle: name('a session, as the list has it') }),
    result: object({ ended: count }),
    usage: 'sessions end USER [HANDLE]',
    positional: ['user', 'handle']
  }),
  profile: command({
    summary: 'a CPU profile of a worker while it serves: a .cpuprofile in RUN_DIR',
    level: 'control',
    runs: 'one slot',
    args: args(
      { slot },
      {
        seconds: {
          type: 'number',
          exclusiveMinimum: 0,
          maximum: 60,
          description: 'a number of seconds, up to 60; 5 when not given'
        }
      }
    ),
    result: File,
    usage: 'profile SLOT [SECONDS]',
    positional: ['slot', 'seconds']
  }),
  heap: command({
    summary: 'a new worker for a slot; the old one drains, writes a .heapsnapshot in RUN_DIR, and leaves',
    level: 'control',
    runs: 'one slot',
    args: args({ slot }),
    result: File,
    usage: 'heap SLOT',
    positional: ['slot']
  }),
  report: command({
    summary: "node's diagnostic report of a worker: a .json in RUN_DIR, without the environment",
    level: 'control',
    runs: 'one slot',
    args: args({ slot }),
    result: File,
    usage: 'report SLOT',
    positional: ['slot']
  }),
  diagnose: command({
    summary: "a worker's event-loop delay, memory, CPU time, and what keeps its event loop busy",
    level: 'read',
    runs: 'one slot',
    args: args({ slot }),
    result: object({ slot: count, pid: count, loopDelayMs: row, memoryBytes: row, cpuMs: row, active: row }),
    usage: 'diagnose SLOT',
    positional: ['slot']
  })
} as const

export type CommandName = keyof typeof COMMANDS
export type ArgsOf<N extends CommandName> = Static<(typeof COMMANDS)[N]['args']>

export const COMMAND_NAMES = Object.keys(COMMANDS) as CommandName[]

/** The entry of that name, as generic code needs it. */
export const find = (given: string): Command | undefined =>
  Object.hasOwn(COMMANDS, given) ? ((COMMANDS as Record<string, unknown>)[given] as Command) : undefined
