import { type Static, type TObject, type TSchema, Type } from 'typebox'
import { LOG_LEVELS } from '../config.ts'

/** What a token must be good for: to look, or to change something and to see what is personal. */
export type Level = 'read' | 'control'

export interface Command<Args extends TObject = TObject, Result extends TSchema = TSchema> {
  /** One line for the help, the documentation and OpenAPI. */
  readonly summary: string
  readonly level: Level
  /** Who does it. */
  readonly runs: 'primary' | 'every worker' | 'any worker' | 'one slot'
  /** Each argument's description completes "must be …": it is the message for what is wrong. No book shows a `secret`. */
  readonly args: Args
  readonly result: Result
  /** What is typed after `muster`: the words of the name, then the arguments in this order. */
  readonly usage: string
  /** The arguments that the capital words of `usage` are. */
  readonly positional: readonly string[]
}

const command = <Args extends TObject, Result extends TSchema>(entry: Command<Args, Result>): Command<Args, Result> =>
  entry

/** Slots are numbered from 0. */
export const MAX_SLOT = 998

const none = Type.Object({}, { additionalProperties: false })
const args = <P extends Record<string, TSchema>>(properties: P) =>
  Type.Object(properties, { additionalProperties: false })
const slot = Type.Integer({ minimum: 0, maximum: MAX_SLOT, description: `a number from 0 to ${MAX_SLOT}` })
const name = (of: string) => Type.String({ minLength: 1, maxLength: 256, description: `the name of ${of}` })
const limit = Type.Optional(Type.Integer({ minimum: 1, maximum: 10_000, description: 'a number from 1 to 10000' }))
const text = Type.String()
const count = Type.Integer({ minimum: 0 })
const row = Type.Record(Type.String(), Type.Unknown())

const Entry = Type.Object({ at: text, event: text, slot: Type.Optional(count), why: Type.Optional(text) })
const Outcome = Type.Object({
  outcome: Type.Union([Type.Literal('done'), Type.Literal('failed'), Type.Literal('stopped')]),
  generation: count,
  durationMs: count,
  why: Type.Optional(text),
  joined: Type.Optional(Type.Literal(true, { description: 'It was under way already.' }))
})
const Settings = Type.Object({ version: count, values: row })
const File = Type.Object({ slot: count, pid: count, path: text, bytes: count })
const Status = Type.Object({
  version: text,
  host: text,
  pid: count,
  uptimeSeconds: count,
  generation: count,
  desired: count,
  scheduling: text,
  state: text,
  workers: Type.Array(Type.Object({ slot: count, pid: count, generation: count, status: text, uptimeSeconds: count })),
  lastReload: Type.Union([Outcome, Type.Null()]),
  restarts: Type.Record(Type.String(), count)
})
const one = Type.Object({ slot: count, pid: count })

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
    result: Type.Literal('pong'),
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
      workers: Type.Union([Type.Integer(), Type.String({ pattern: '^[+-]\\d{1,3}$' })], {
        description: 'a number of workers, or +1 or -1'
      })
    }),
    result: Type.Object({ workers: count }),
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
    result: Type.Null(),
    usage: 'stop',
    positional: []
  }),
  why: command({
    summary: 'what happened to the workers, or to one, and why; also when nothing runs',
    level: 'read',
    runs: 'primary',
    args: args({ slot: Type.Optional(slot), limit }),
    result: Type.Array(Entry),
    usage: 'why [SLOT] [LIMIT]',
    positional: ['slot', 'limit']
  }),
  journal: command({
    summary: 'everything that happened last, with its reasons',
    level: 'read',
    runs: 'primary',
    args: args({ limit }),
    result: Type.Array(Entry),
    usage: 'journal [LIMIT]',
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
    args: args({ key: Type.Optional(name('a setting')) }),
    result: Settings,
    usage: 'settings get [KEY]',
    positional: ['key']
  }),
  'settings-set': command({
    summary: 'for every worker of every host',
    level: 'control',
    runs: 'every worker',
    args: args({
      key: name('a setting'),
      value: Type.Optional(Type.Unknown({ description: 'a value', secret: true })),
      text: Type.Optional(Type.String({ description: 'the value as somebody types it', secret: true }))
    }),
    result: Settings,
    usage: 'settings set KEY VALUE',
    positional: ['key', 'text']
  }),
  'log-level': command({
    summary: 'of the workers of every host',
    level: 'control',
    runs: 'every worker',
    args: args({
      level: Type.Union(
        LOG_LEVELS.map((level) => Type.Literal(level)),
        { description: `one of ${LOG_LEVELS.join(', ')}` }
      )
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
    result: Type.Object({ workers: count, unanswered: count }),
    usage: 'cache-clear',
    positional: []
  }),
  'sessions-list': command({
    summary: 'the sessions of a user, on all hosts',
    level: 'control',
    runs: 'any worker',
    args: args({ user: name('a user') }),
    result: Type.Array(Type.Object({ handle: text, createdAt: count, idleLeftMs: Type.Integer() })),
    usage: 'sessions list USER',
    positional: ['user']
  }),
  'sessions-end': command({
    summary: 'ends them, or the one that the list calls so',
    level: 'control',
    runs: 'any worker',
    args: args({ user: name('a user'), handle: Type.Optional(name('a session, as the list has it')) }),
    result: Type.Object({ ended: count }),
    usage: 'sessions end USER [HANDLE]',
    positional: ['user', 'handle']
  }),
  profile: command({
    summary: 'a CPU profile of a worker while it serves: a .cpuprofile in RUN_DIR',
    level: 'control',
    runs: 'one slot',
    args: args({
      slot,
      seconds: Type.Optional(
        Type.Number({
          exclusiveMinimum: 0,
          maximum: 60,
          description: 'a number of seconds, up to 60; 5 when not given'
        })
      )
    }),
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
    result: Type.Object({ slot: count, pid: count, loopDelayMs: row, memoryBytes: row, cpuMs: row, active: row }),
    usage: 'diagnose SLOT',
    positional: ['slot']
  })
} as const

export type CommandName = keyof typeof COMMANDS
export type ArgsOf<N extends CommandName> = Static<(typeof COMMANDS)[N]['args']>
export type ResultOf<N extends CommandName> = Static<(typeof COMMANDS)[N]['result']>

export const COMMAND_NAMES = Object.keys(COMMANDS) as CommandName[]

/** The entry of that name, as generic code needs it. */
export const find = (given: string): Command | undefined =>
  Object.hasOwn(COMMANDS, given) ? ((COMMANDS as Record<string, unknown>)[given] as Command) : undefined
